"""Signatures, by python-jose. Nothing else knows that library, and little of it is used.

It picks the algorithm by what the token says, takes any bytes for a secret, ignores `crit`, and
leaves claims that it does not find unchecked. So a key made here is good for one algorithm, and
everything that is written in a token is checked elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_der_public_key
from jose import jwk, jws
from jose.exceptions import JOSEError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jose.backends.base import Key

_MEMBERS_OF_PUBLIC_KEYS = {"RSA": ("kty", "n", "e"), "EC": ("kty", "crv", "x", "y")}


class UnusableKeyError(Exception):
    """This is no key for the algorithm."""


class VerificationKey:
    """A key that verifies signatures of one algorithm."""

    def __init__(self, key: Key, algorithm: str) -> None:
        self._key = key
        self._algorithm = algorithm

    @classmethod
    def of_public_jwk(cls, members: Mapping[str, Any], algorithm: str) -> VerificationKey:
        """Make a key of the public part of a JSON web key. Raises `UnusableKeyError`."""
        names = _MEMBERS_OF_PUBLIC_KEYS.get(members["kty"], ())
        try:
            key = jwk.construct({name: members[name] for name in names}, algorithm)
        except Exception as error:
            # What others publish as a key breaks the library in many ways.
            raise UnusableKeyError from error
        return cls(key, algorithm)

    @classmethod
    def of_secret(cls, secret: bytes, algorithm: str) -> VerificationKey:
        """Make a key of a shared secret. Raises `UnusableKeyError` for anything that is public.

        A secret must be as long as the hash.
        """
        if len(secret) < int(algorithm.removeprefix("HS")) // 8 or _is_public(secret):
            raise UnusableKeyError
        try:
            key = jwk.construct(secret, algorithm)
        except JOSEError as error:
            raise UnusableKeyError from error
        return cls(key, algorithm)

    def has_signed(self, token: str) -> bool:
        """Whether the signature of a token in compact form is this key's."""
        try:
            jws.verify(token, self._key, algorithms=[self._algorithm])
        except JOSEError:
            return False
        return True


def _is_public(secret: bytes) -> bool:
    """Whether these bytes are a public key; in the PEM form the library refuses it itself."""
    try:
        load_der_public_key(secret)
    except (ValueError, UnsupportedAlgorithm):
        return False
    return True
