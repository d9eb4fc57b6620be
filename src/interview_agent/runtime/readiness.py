"""The live side of readiness: everything that this process needs, asked whether it works now."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from interview_agent.domain.errors import AgentError
from interview_agent.domain.readiness import Finding, Issue
from interview_agent.domain.readiness.findings import LOOP_NOT_TICKING, WORK_STALLED

if TYPE_CHECKING:
    from interview_agent.domain.route import Stage
    from interview_agent.ports.work import QueueDepth
    from interview_agent.runtime.loop import StageLoop

PATIENCE_S = 1.5
"""Less than the patience of whoever asks `/ready`, so that the answer can name what hangs."""

STALE_LOOP_S = 30.0
STALLED_AFTER_S = 60.0
_SAME_MOMENT_S = 2.0

Check = Callable[[], Awaitable[Sequence[Issue]]]


class LiveChecks:
    """Checks that are asked all at once, each with what its failure is found to be.

    Whoever asks while an answer is on its way gets that one: however many ask, each check runs
    once at a time.
    """

    def __init__(self) -> None:
        self._checks: list[tuple[Check, Finding]] = []
        self._asking: asyncio.Task[list[Issue]] | None = None

    def add(self, check: Check, failure: Finding) -> None:
        """Ask `check` too; an error or a silence of it is an issue of the kind `failure`."""
        self._checks.append((check, failure))

    async def issues(self, patience_s: float = PATIENCE_S) -> list[Issue]:
        """Return what does not work now, within `patience_s` or that of who asked first."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask_all(patience_s))
        return await asyncio.shield(self._asking)

    async def _ask_all(self, patience_s: float) -> list[Issue]:
        async with asyncio.TaskGroup() as group:
            asked = [
                group.create_task(ask(check, failure, patience_s))
                for check, failure in self._checks
            ]
        # Two checks of one server fail alike.
        return list(dict.fromkeys(issue for task in asked for issue in task.result()))

    async def aclose(self) -> None:
        """Ask no more."""
        if self._asking is not None:
            self._asking.cancel()
            with suppress(asyncio.CancelledError):
                await self._asking


async def ask(check: Check, failure: Finding, patience_s: float) -> Sequence[Issue]:
    """Return what a check finds; `failure` when it cannot find out within `patience_s`."""
    try:
        async with asyncio.timeout(patience_s):
            return await check()
    except (AgentError, TimeoutError):
        return [failure.error()]


def ticking(loop: StageLoop, name: str) -> Check:
    """Return a check that a loop turned within the last seconds."""

    async def look() -> Sequence[Issue]:
        fresh = time.monotonic() - loop.ticked_at < STALE_LOOP_S
        return [] if fresh else [LOOP_NOT_TICKING.error(name)]

    return look


@dataclass(frozen=True, slots=True)
class _Oldest:
    due_s: float
    seen_s: float


class ProgressWatch:
    """Notices stages whose oldest due work stays the same while nobody holds a lease.

    Work is claimed in the order in which it fell due, so where anybody works the oldest changes.
    """

    def __init__(self, stalled_after_s: float = STALLED_AFTER_S) -> None:
        self._stalled_after_s = stalled_after_s
        self._oldest: dict[Stage, _Oldest] = {}

    def look(self, depths: Sequence[QueueDepth], now_s: float) -> list[Issue]:
        """Return the stages that have stood still, seen from `now_s` on a monotonic clock."""
        found = []
        for depth in depths:
            if depth.waiting == 0 or depth.running > 0:
                self._oldest.pop(depth.stage, None)
                continue
            due_s = now_s - depth.oldest_age_s
            known = self._oldest.get(depth.stage)
            if known is None or abs(known.due_s - due_s) > _SAME_MOMENT_S:
                self._oldest[depth.stage] = _Oldest(due_s, now_s)
            elif now_s - known.seen_s >= self._stalled_after_s:
                found.append(WORK_STALLED.warning(depth.stage.value))
        return found
