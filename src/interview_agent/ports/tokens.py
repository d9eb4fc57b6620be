"""Reading signed tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from interview_agent.domain.claims import Claims


class TokenReader(Protocol):
    """Knows whose signatures count."""

    async def claims_of(self, token: str) -> Claims:
        """Return what a token says, its signature verified but nothing of its claims.

        Raises `InvalidToken`, as `TokenUnchecked` while its key cannot be asked for.
        """
        ...
