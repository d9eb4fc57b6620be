"""`AUTH_MODE=jwt`: callers that show signed tokens."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from interview_agent.domain.errors import CredentialsAmbiguous, Unauthorized

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import web

    from interview_agent.domain.claims import BearerRules, TokenTerms
    from interview_agent.domain.identity import Identity
    from interview_agent.ports.tokens import TokenReader
    from interview_agent.web.auth import ApiKeys

HEADER = "Authorization"

_SCHEME = "bearer"


class BearerTokens:
    """Takes the token in `Authorization: Bearer`, and where there is none perhaps a service key.

    A token that is there decides alone, however good a key is beside it. Without `service_keys` no
    key is taken at all. `now` gives the Unix time in seconds.
    """

    def __init__(
        self,
        tokens: TokenReader,
        terms: TokenTerms,
        rules: BearerRules,
        *,
        service_keys: ApiKeys | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._tokens = tokens
        self._terms = terms
        self._rules = rules
        self._service_keys = service_keys
        self._now = now

    async def identify(self, request: web.BaseRequest) -> Identity:
        """Return the bearer of the token, or the service whose key it is."""
        token = _token_of(request.headers.getall(HEADER, []))
        if token is None:
            if self._service_keys is not None:
                return await self._service_keys.identify(request)
            message = "A bearer token is needed."
            raise Unauthorized(message)
        claims = await self._tokens.claims_of(token)
        return self._rules.identity_of(claims, self._terms.end_of(claims, self._now()))

    def header_of(self, credential: str) -> tuple[str, str]:
        """Return the header of tokens."""
        return HEADER, f"Bearer {credential}"

    def lapsed(self, caller: Identity) -> str | None:
        """Say whether the caller's token has expired, or the key is no longer known."""
        if caller.expires_at_s is not None:
            return "token_expired" if self._now() >= caller.expires_at_s else None
        return self._service_keys.lapsed(caller) if self._service_keys is not None else None


def _token_of(given: list[str]) -> str | None:
    """Return the token of the headers, empty if it is missing there; None without a bearer."""
    if len(given) > 1:
        message = f"More than one {HEADER} header was given."
        raise CredentialsAmbiguous(message)
    scheme, _, token = given[0].strip().partition(" ") if given else ("", "", "")
    return token.strip() if scheme.lower() == _SCHEME else None
