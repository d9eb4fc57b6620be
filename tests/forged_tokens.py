"""Tokens made by hand, good and bad: no library for tokens has a say in them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

NOW_S = 1_800_000_000.0
ISSUER = "https://id.example/realms/agent"
AUDIENCE = "interview-agent"

_HASH_BY_BITS = {"256": SHA256, "384": SHA384, "512": SHA512}
_CURVES = {"P-256": ec.SECP256R1, "P-384": ec.SECP384R1, "P-521": ec.SECP521R1}


def b64(body: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(body).rstrip(b"=").decode()


def number(value: int, size: int = 0) -> str:
    """Return a number as JSON web keys write it."""
    return b64(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))


@cache
def rsa_private(name: str, bits: int = 2048) -> rsa.RSAPrivateKey:
    """Return the private key of this name, the same at every call."""
    assert name
    return rsa.generate_private_key(65537, bits)


@cache
def ec_private(name: str, curve: str = "P-256") -> ec.EllipticCurvePrivateKey:
    """Return the private key of this name, the same at every call."""
    assert name
    return ec.generate_private_key(_CURVES[curve]())


@dataclass(frozen=True)
class RsaSigner:
    """Signs RS256, RS384 or RS512."""

    name: str = "main"
    algorithm: str = "RS256"
    bits: int = 2048

    def sign(self, signed: bytes) -> bytes:
        digest = _HASH_BY_BITS[self.algorithm[2:]]()
        return rsa_private(self.name, self.bits).sign(signed, padding.PKCS1v15(), digest)

    def public(self, encoding: Encoding) -> bytes:
        key = rsa_private(self.name, self.bits).public_key()
        return key.public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)

    def jwk(self, **members: Any) -> dict[str, Any]:
        numbers = rsa_private(self.name, self.bits).public_key().public_numbers()
        mine = {"kty": "RSA", "kid": self.name, "n": number(numbers.n), "e": number(numbers.e)}
        return _without_none({**mine, **members})


@dataclass(frozen=True)
class EcSigner:
    """Signs ES256, ES384 or ES512."""

    name: str = "curve"
    algorithm: str = "ES256"
    curve: str = "P-256"

    def sign(self, signed: bytes) -> bytes:
        key = ec_private(self.name, self.curve)
        r, s = decode_dss_signature(key.sign(signed, ec.ECDSA(_HASH_BY_BITS[self.algorithm[2:]]())))
        size = (key.key_size + 7) // 8
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")

    def jwk(self, **members: Any) -> dict[str, Any]:
        key = ec_private(self.name, self.curve)
        point, size = key.public_key().public_numbers(), (key.key_size + 7) // 8
        mine = {"kty": "EC", "kid": self.name, "crv": self.curve}
        mine |= {"x": number(point.x, size), "y": number(point.y, size)}
        return _without_none({**mine, **members})


@dataclass(frozen=True)
class SecretSigner:
    """Signs HS256 with whatever it takes for a secret."""

    secret: bytes
    name: str | None = None
    algorithm: str = "HS256"

    def sign(self, signed: bytes) -> bytes:
        return hmac.new(self.secret, signed, hashlib.sha256).digest()


Signer = RsaSigner | EcSigner | SecretSigner


def claims(**changes: Any) -> dict[str, Any]:
    """Return claims that are good at `NOW_S`, changed; None takes one away."""
    good = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "alice",
        "iat": int(NOW_S) - 60,
        "exp": int(NOW_S) + 600,
    }
    return _without_none({**good, **changes})


def token(signer: Signer, said: dict[str, Any] | None = None, **header: Any) -> str:
    """Return a signed token; None takes a header away."""
    names = {"alg": signer.algorithm, "typ": "JWT", "kid": signer.name}
    return raw_token(
        signer,
        json.dumps(_without_none({**names, **header})),
        json.dumps(claims() if said is None else said),
    )


def raw_token(signer: Signer, header: str, payload: str) -> str:
    """Return a token whose parts are these texts, signed."""
    signed = f"{b64(header.encode())}.{b64(payload.encode())}"
    return f"{signed}.{b64(signer.sign(signed.encode()))}"


def _without_none(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}
