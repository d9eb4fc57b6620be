"""Many chunks share one commit."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from interview_agent.adapters.postgres.patience import PATIENCE_S, out_of_patience
from interview_agent.domain.errors import AgentError, DatabaseError
from interview_agent.ports.intake import NewChunk, Receipt

MAX_BATCH = 256
"""Most chunks that share one commit."""

Verdict = Receipt | AgentError
Commit = Callable[[Sequence[NewChunk]], Awaitable[Sequence[Verdict]]]


@dataclass(slots=True)
class _Pending:
    chunk: NewChunk
    answer: asyncio.Future[Receipt]


class GroupCommit:
    """Hands chunks to `commit` in batches, in the order in which they came.

    `commit` records a batch in one transaction and says for each chunk what became of it.
    """

    def __init__(self, commit: Commit, *, patience_s: float = PATIENCE_S) -> None:
        self._commit = commit
        self._patience_s = patience_s
        self._pending: list[_Pending] = []
        self._flusher: asyncio.Task[None] | None = None

    async def accept(self, chunk: NewChunk) -> Receipt:
        """Return the receipt of a chunk once it is committed; raise what `commit` says of it."""
        pending = _Pending(chunk, asyncio.get_running_loop().create_future())
        self._pending.append(pending)
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._flush())
        try:
            done, _ = await asyncio.wait({pending.answer}, timeout=self._patience_s)
        finally:
            if not pending.answer.done():
                pending.answer.cancel()
        if not done:
            raise out_of_patience()
        return pending.answer.result()

    async def _flush(self) -> None:
        # Whatever arrives while one commit is under way shares the next one. Nobody waits any
        # more for what was cancelled, and it was answered with a refusal.
        while self._pending:
            waiting = [each for each in self._pending if not each.answer.done()]
            batch, self._pending = waiting[:MAX_BATCH], waiting[MAX_BATCH:]
            for each, verdict in zip(batch, await self._verdicts(batch), strict=True):
                if each.answer.done():
                    continue
                if isinstance(verdict, Receipt):
                    each.answer.set_result(verdict)
                else:
                    each.answer.set_exception(verdict)

    async def _verdicts(self, batch: Sequence[_Pending]) -> Sequence[Receipt | Exception]:
        if not batch:
            return []
        try:
            return await self._commit([each.chunk for each in batch])
        except DatabaseError as error:
            return [error] * len(batch)
        except Exception as error:  # noqa: BLE001 - each sender gets the error of its own chunk
            if len(batch) == 1:
                return [error]
        # One of them cannot be stored; the others must not suffer for it.
        return [verdict for each in batch for verdict in await self._verdicts([each])]
