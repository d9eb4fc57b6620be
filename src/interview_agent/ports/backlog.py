"""How much accepted audio waits to be heard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping


class BacklogRows(Protocol):
    """Counts chunks that wait for speech to text. Raises `DatabaseError`."""

    async def waiting(self, at_least: int) -> Mapping[str, int]:
        """Return how many chunks wait for each owner with that many, by owner.

        Tracks that are captioned while they come do not count: what may be open of those is
        bounded when they are opened.
        """
        ...
