"""Who is calling: the authenticators of `AUTH_MODE`."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from interview_agent.domain.errors import StartupError, Unauthorized
from interview_agent.domain.identity import Identity, Kind
from interview_agent.domain.ids import is_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aiohttp import web

KEY_HEADER = "X-API-Key"
MAX_KEY_CHARS = 1024

_HASHED = re.compile(r"sha256\$([0-9A-Fa-f]{64})\Z")


class Authenticator(Protocol):
    """Turns a request, from its headers alone, into an identity."""

    async def identify(self, request: web.BaseRequest) -> Identity:
        """Return who is calling. Raises `Unauthorized`.

        Where the credential is good but unclear in what it allows, raises `Forbidden`; where there
        are two, `CredentialsAmbiguous`.
        """
        ...

    def header_of(self, credential: str) -> tuple[str, str]:
        """Return the header that shows a credential, for those who cannot set headers."""
        ...

    def lapsed(self, caller: Identity) -> str | None:
        """Say in a word why somebody who was let in no longer would be; None: still is."""
        ...


class OpenDoor:
    """`AUTH_MODE=none`: everybody is the same anonymous user."""

    async def identify(self, request: web.BaseRequest) -> Identity:  # noqa: ARG002 - the port's
        """Return the anonymous user."""
        return Identity(subject="anonymous", auth_type="none", kind=Kind.USER)

    def header_of(self, credential: str) -> tuple[str, str]:
        """Return the header of keys, which nobody reads here."""
        return KEY_HEADER, credential

    def lapsed(self, caller: Identity) -> str | None:  # noqa: ARG002 - the port's
        """Say that the door stays open."""
        return None


@dataclass(frozen=True, slots=True)
class _KnownKey:
    digest: bytes
    identity: Identity


def _digest_of(key: str) -> bytes:
    if key.startswith("sha256$"):
        hashed = _HASHED.match(key)
        if not hashed:
            message = "an API key of the form sha256$<hex> needs 64 hex digits"
            raise StartupError(message)
        return bytes.fromhex(hashed.group(1))
    return hashlib.sha256(key.encode()).digest()


def _known_key(entry: str, kind: Kind) -> _KnownKey:
    tenant, separator, key = entry.partition(":")
    if not separator:
        tenant, key = "", entry
    if not key or (separator and not is_name(tenant)):
        message = "an API key has the form [tenant:]key or [tenant:]sha256$<hex>"
        raise StartupError(message)
    digest = _digest_of(key)
    identity = Identity(
        subject=f"key:{digest.hex()[:12]}",
        auth_type=f"{kind.value}_api_key",
        kind=kind,
        tenant=tenant or None,
    )
    return _KnownKey(digest, identity)


class ApiKeys:
    """`AUTH_MODE=api_key`: the header `X-API-Key` names one of the known keys.

    Entries have the form `[tenant:]key` or `[tenant:]sha256$<hex>`; a key that stands in both
    lists is a service key. Raises `StartupError` for a malformed entry.
    """

    def __init__(self, user_keys: Iterable[str], service_keys: Iterable[str] = ()) -> None:
        self._known: list[_KnownKey] = []
        self._identities: frozenset[Identity] = frozenset()
        self.replace(user_keys, service_keys)

    def replace(self, user_keys: Iterable[str], service_keys: Iterable[str]) -> None:
        """Know these keys alone from now on. Raises `StartupError`, and then changes nothing."""
        self._known = [
            *(_known_key(entry, Kind.USER) for entry in user_keys),
            *(_known_key(entry, Kind.SERVICE) for entry in service_keys),
        ]
        self._identities = frozenset(known.identity for known in self._known)

    def header_of(self, credential: str) -> tuple[str, str]:
        """Return the header of keys."""
        return KEY_HEADER, credential

    def lapsed(self, caller: Identity) -> str | None:
        """Say whether the key of the caller is no longer known."""
        return None if caller in self._identities else "key_revoked"

    async def identify(self, request: web.BaseRequest) -> Identity:
        """Return the identity of the key. Raises `Unauthorized`."""
        given = request.headers.getall(KEY_HEADER, [])
        if len(given) != 1 or not 0 < len(given[0]) <= MAX_KEY_CHARS:
            message = f"exactly one {KEY_HEADER} header is needed"
            raise Unauthorized(message)
        digest = hashlib.sha256(given[0].encode("utf-8", "surrogateescape")).digest()
        found: Identity | None = None
        # Every entry is compared, so the time taken says nothing about which one matched.
        for known in self._known:
            if hmac.compare_digest(digest, known.digest):
                found = known.identity
        if found is None:
            message = "the API key is not known"
            raise Unauthorized(message)
        return found
