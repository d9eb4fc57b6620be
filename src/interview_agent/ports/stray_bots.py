"""Bots that may still be in meetings which were erased."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class StrayBot:
    """A bot by the deletion of its meeting, of which no more than the id is left."""

    deletion_id: int
    meeting_id: str


class StrayBots(Protocol):
    """What erasure could not call back in its time. Raises `DatabaseError`."""

    async def next(self, provider: str, limit: int) -> Sequence[StrayBot]:
        """Return those that waited longest and let them wait again."""
        ...

    async def called_back(self, bot: StrayBot) -> bool:
        """Forget a bot that has left, and correct the proof; False: somebody else did."""
        ...

    async def give_up(self, age_s: float) -> int:
        """Forget bots of all providers that strayed for `age_s`; return how many."""
        ...
