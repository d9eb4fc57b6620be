"""A bound on the audio of one owner that waits, so that nobody fills the queue for the others."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

import structlog

from interview_agent.domain.errors import BacklogFull, DatabaseError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from interview_agent.ports.backlog import BacklogRows

_REFRESH_S = 5.0
_ASK_AGAIN_S = 10

log = structlog.get_logger(__name__)


class Backlog:
    """Counts the chunks of each owner that wait, by rows and, between looks at those, itself.

    `most` is the bound; each process counts the whole of what all of them accepted, a few seconds
    late. `run` is its loop.
    """

    def __init__(self, rows: BacklogRows, most: int) -> None:
        self._rows = rows
        self._most = most
        self._waiting: Mapping[str, int] = {}
        self._since: Counter[str] = Counter()

    def check(self, owner: str) -> None:
        """Raise `BacklogFull` when no more audio of this owner may wait."""
        if self._waiting.get(owner, 0) + self._since[owner] >= self._most:
            raise BacklogFull(retry_after_s=_ASK_AGAIN_S)

    def accepted(self, owner: str) -> None:
        """Count a chunk that was accepted now."""
        self._since[owner] += 1

    async def run(self, *, every_s: float = _REFRESH_S) -> None:
        """Count the rows again and again, for ever."""
        while True:
            try:
                await self.refresh()
            except DatabaseError as error:
                log.warning("backlog_not_counted", cause=str(error))
            await asyncio.sleep(every_s)

    async def refresh(self) -> None:
        """Count the rows once. Raises `DatabaseError`."""
        # What is accepted while the rows are counted may be in both counts, for one round.
        counted, self._since = self._since, Counter()
        try:
            # Few owners are half-way to the bound, so that is all that has to be remembered.
            self._waiting = await self._rows.waiting(max(1, self._most // 2))
        except DatabaseError:
            self._since += counted
            raise
