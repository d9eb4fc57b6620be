"""Which published keys are relied on."""

from __future__ import annotations

from typing import Any

import pytest

from forged_tokens import EcSigner, RsaSigner, b64, number, rsa_private
from interview_agent.adapters.oidc.key_set import MAX_KEYS, read_key_set

RSA = RsaSigner()
CURVE = EcSigner()


def is_used(jwk: Any, algorithm: str = "RS256") -> bool:
    return bool(read_key_set({"keys": [jwk]}, [algorithm]))


@pytest.mark.parametrize(
    "members",
    [{}, {"use": "sig"}, {"alg": "RS256"}, {"key_ops": ["verify"]}, {"x5c": ["AA"]}, {"kid": None}],
)
def test_a_key_for_signatures_is_used(members: dict[str, Any]) -> None:
    assert is_used(RSA.jwk(**members))


NOT_USED = {
    "for encryption": RSA.jwk(use="enc"),
    "for signing, not for verifying": RSA.jwk(key_ops=["sign"]),
    "operations that are no list": RSA.jwk(key_ops="verify"),
    "of another algorithm": RSA.jwk(alg="RS512"),
    "of 512 bits": RSA.jwk(n=number((1 << 511) + 1)),
    "of 1024 bits": RsaSigner("weak", bits=1024).jwk(),
    "of 2048 bits with zeros before": RsaSigner("weak", bits=1024).jwk(
        n=b64(bytes(128) + rsa_private("weak", 1024).public_key().public_numbers().n.to_bytes(128))
    ),
    "of a megabit": RSA.jwk(n=number((1 << 1_000_000) + 1)),
    "with an even exponent": RSA.jwk(e=number(4)),
    "with the exponent 1": RSA.jwk(e=number(1)),
    "without a modulus": RSA.jwk(n=None),
    "without an exponent": RSA.jwk(e=None),
    "modulus of a number": RSA.jwk(n=12345),
    "modulus of garbage": RSA.jwk(n="%%%"),
    "published with its private part": RSA.jwk(d=number(65537)),
    "kid of a number": RSA.jwk(kid=1),
    "kid of a list": RSA.jwk(kid=["main"]),
    "a secret": {"kty": "oct", "kid": "main", "k": b64(b"x" * 32)},
    "a secret that says RS256": {"kty": "oct", "kid": "main", "alg": "RS256", "k": b64(b"x" * 32)},
    "of no kind": RSA.jwk(kty=None),
    "of a kind of tomorrow": RSA.jwk(kty="AKP"),
    "a curve": CURVE.jwk(),
    "a text": "RSA",
    "nothing": None,
    "a list": [RSA.jwk()],
}


@pytest.mark.parametrize("name", NOT_USED)
def test_a_key_is_not_used(name: str) -> None:
    assert not is_used(NOT_USED[name])


@pytest.mark.parametrize(
    "jwk",
    [
        EcSigner("e3", "ES384", "P-384").jwk(),
        CURVE.jwk(crv="secp256k1"),
        CURVE.jwk(x=b64(b"x" * 32)),
        CURVE.jwk(y=None),
        RSA.jwk(),
    ],
    ids=["another curve", "unknown curve", "not on the curve", "half a point", "RSA"],
)
def test_a_curve_must_be_the_one_of_the_algorithm(jwk: dict[str, Any]) -> None:
    assert is_used(CURVE.jwk(), "ES256")
    assert not is_used(jwk, "ES256")


def test_a_bad_key_does_not_spoil_the_good_one_beside_it() -> None:
    keys = read_key_set({"keys": [*NOT_USED.values(), RSA.jwk()]}, ["RS256"])
    assert keys.find("main", "RS256") is not None


@pytest.mark.parametrize("document", [None, [], "keys", {}, {"keys": None}, {"keys": []}])
def test_what_is_no_key_set_holds_none(document: Any) -> None:
    assert not read_key_set(document, ["RS256"])


def test_of_an_endless_set_only_the_beginning_is_looked_at() -> None:
    keys = [RSA.jwk(kid=str(place)) for place in range(MAX_KEYS + 1)]
    found = read_key_set({"keys": keys}, ["RS256"])
    assert found.find(str(MAX_KEYS - 1), "RS256") is not None
    assert found.find(str(MAX_KEYS), "RS256") is None
