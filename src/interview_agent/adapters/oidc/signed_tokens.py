"""Tokens in compact form: what they look like is checked before any key is touched."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Any, Protocol

from interview_agent.domain.errors import InvalidToken, TokenUnchecked

if TYPE_CHECKING:
    from collections.abc import Collection

    from interview_agent.adapters.oidc.signatures import VerificationKey
    from interview_agent.domain.claims import Claims

MAX_TOKEN_CHARS = 8192

_COMPACT = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+\Z")
_FOREIGN_KEYS = frozenset({"jku", "jwk", "x5u", "x5c"})
"""Headers by which a token would bring a key of its own choice, or say where one lies."""


class KeySource(Protocol):
    """Knows the keys that are trusted now."""

    @property
    def current(self) -> bool:
        """Whether these are all keys that there are; false while they cannot be asked for."""
        ...

    async def find(self, kid: str | None, algorithm: str) -> VerificationKey | None:
        """Return the key of an algorithm by its id, or the only one; None if there is none."""
        ...


class SignedTokens:
    """Reads tokens that keys of `source` have signed by one of `algorithms`.

    With `typ` only tokens of this type are read.
    """

    def __init__(
        self, source: KeySource, *, algorithms: Collection[str], typ: str | None = None
    ) -> None:
        self._source = source
        self._algorithms = frozenset(algorithms)
        self._typ = _type_name(typ) if typ else None

    async def claims_of(self, token: str) -> Claims:
        """Return what a token says, its signature verified but nothing of its claims.

        Raises `InvalidToken`, as `TokenUnchecked` while its key cannot be asked for.
        """
        if len(token) > MAX_TOKEN_CHARS:
            raise InvalidToken("too_large")
        parts = _COMPACT.match(token)
        if parts is None:
            raise InvalidToken("not_compact")
        kid, algorithm = self._checked(_json_object(parts[1]))
        claims = _json_object(parts[2])
        key = await self._source.find(kid, algorithm)
        if key is None:
            raise InvalidToken("unknown_key") if self._source.current else TokenUnchecked
        # On the event loop: this takes less than a millisecond, which a thread would cost as well.
        if not key.has_signed(token):
            raise InvalidToken("bad_signature")
        return claims

    def _checked(self, header: dict[str, Any]) -> tuple[str | None, str]:
        """Return the key id and the algorithm that a header names. Raises `InvalidToken`."""
        algorithm, kid = header.get("alg"), header.get("kid")
        if not isinstance(algorithm, str) or algorithm not in self._algorithms:
            raise InvalidToken("algorithm_not_allowed")
        if "crit" in header:
            raise InvalidToken("unknown_extension")
        if not _FOREIGN_KEYS.isdisjoint(header):
            raise InvalidToken("brings_its_key")
        if not (kid is None or isinstance(kid, str)):
            raise InvalidToken("key_id_is_no_text")
        if self._typ is not None and _type_name(header.get("typ")) != self._typ:
            raise InvalidToken("wrong_type")
        return kid, algorithm


def _type_name(typ: Any) -> str | None:
    return typ.lower().removeprefix("application/") if isinstance(typ, str) else None


def _json_object(segment: str) -> dict[str, Any]:
    try:
        text = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)).decode()
        found = json.loads(text, object_pairs_hook=_unique, parse_constant=_refused)
    # Deep nesting ends in a RecursionError.
    except (ValueError, RecursionError):
        raise InvalidToken("not_json") from None
    if not isinstance(found, dict):
        raise InvalidToken("not_json")
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    # Two readers of a repeated name may understand two things.
    if len(found) != len(pairs):
        raise ValueError
    return found


def _refused(constant: str) -> None:
    """Refuse `NaN` and `Infinity`, which are no JSON."""
    raise ValueError(constant)
