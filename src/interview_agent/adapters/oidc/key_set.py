"""The keys that a provider publishes, reduced to those that can be relied on."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from interview_agent.adapters.oidc.signatures import UnusableKeyError, VerificationKey

MAX_KEYS = 50
"""Keys of a set that are looked at; no provider publishes more than a few."""

_RSA_BITS = range(2048, 8193)
_CURVE_BY_ALGORITHM = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}


@dataclass(frozen=True, slots=True)
class KeySet:
    """The usable keys of a provider, by algorithm and key id; None: a key without an id."""

    by_algorithm: Mapping[str, Mapping[str | None, VerificationKey]] = field(default_factory=dict)

    def find(self, kid: str | None, algorithm: str) -> VerificationKey | None:
        """Return the key of this id; without one, the only key there is."""
        keys = self.by_algorithm.get(algorithm, {})
        if kid is None:
            return next(iter(keys.values())) if len(keys) == 1 else None
        return keys.get(kid)

    def __bool__(self) -> bool:
        return any(self.by_algorithm.values())


def read_key_set(document: Any, algorithms: Sequence[str]) -> KeySet:
    """Return the usable keys of a JSON web key set for these algorithms.

    Left out are keys for encryption, of unknown kinds, of lengths below or far above what is safe,
    secrets, and ids that more than one key of an algorithm has: such an id names none.
    """
    listed = document.get("keys") if isinstance(document, Mapping) else None
    members = [each for each in listed or () if isinstance(each, Mapping)][:MAX_KEYS]
    return KeySet({algorithm: _keys_for(algorithm, members) for algorithm in algorithms})


def _keys_for(
    algorithm: str, listed: Sequence[Mapping[str, Any]]
) -> Mapping[str | None, VerificationKey]:
    found: dict[str | None, VerificationKey] = {}
    repeated: set[str | None] = set()
    for members in listed:
        kid = members.get("kid")
        if not (kid is None or isinstance(kid, str)) or not _is_fit(members, algorithm):
            continue
        try:
            key = VerificationKey.of_public_jwk(members, algorithm)
        except UnusableKeyError:
            continue
        if kid in found:
            repeated.add(kid)
        found[kid] = key
    return {kid: key for kid, key in found.items() if kid not in repeated}


def _is_fit(members: Mapping[str, Any], algorithm: str) -> bool:
    if members.get("use", "sig") != "sig" or members.get("alg", algorithm) != algorithm:
        return False
    operations = members.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        return False
    # Who publishes a private key has no key any more.
    if "d" in members:
        return False
    if algorithm in _CURVE_BY_ALGORITHM:
        return members.get("kty") == "EC" and members.get("crv") == _CURVE_BY_ALGORITHM[algorithm]
    return members.get("kty") == "RSA" and _bits_of(members.get("n")) in _RSA_BITS


def _bits_of(number: Any) -> int:
    """Return the length of a base64url number, 0 for anything else."""
    if not isinstance(number, str):
        return 0
    try:
        padded = number.encode() + b"=" * (-len(number) % 4)
        return int.from_bytes(base64.urlsafe_b64decode(padded), "big").bit_length()
    except (binascii.Error, ValueError):
        return 0
