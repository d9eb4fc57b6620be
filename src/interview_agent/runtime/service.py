"""A composed service: what it runs, whether it can work, and how it is made to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from interview_agent.domain.readiness.findings import DRAINING
from interview_agent.ports.spans import NoSpans
from interview_agent.runtime.readiness import LiveChecks

if TYPE_CHECKING:
    from interview_agent.domain.readiness import Issue
    from interview_agent.domain.roles import Role
    from interview_agent.metrics import Metrics
    from interview_agent.ports.spans import Spans
    from interview_agent.runtime.loop import StageLoop
    from interview_agent.settings import Settings

Loop = Callable[[], Awaitable[None]]
Leave = Callable[[], Coroutine[Any, Any, None]]


@dataclass(slots=True)
class Service:
    """The loops of one process, the checks of what they need, and the address it answers at."""

    settings: Settings
    roles: frozenset[Role]
    metrics: Metrics
    spans: Spans = field(default_factory=NoSpans)
    loops: dict[str, Loop] = field(default_factory=dict)
    stage_loops: list[StageLoop] = field(default_factory=list)
    standing_issues: tuple[Issue, ...] = ()
    """What follows from the settings and lasts as long as the process."""
    checks: LiveChecks = field(default_factory=LiveChecks)
    on_drain: list[Callable[[], None]] = field(default_factory=list)
    """Called at once when the process is to stop."""
    leavers: list[Leave] = field(default_factory=list)
    """Called when the process stops, before its loops end: what others are owed is given."""
    address: str = ""
    draining: bool = False

    async def issues(self) -> list[Issue]:
        """Return all that is wrong: what was set, and what does not work now."""
        return [*self.standing_issues, *await self.live_issues()]

    async def live_issues(self) -> list[Issue]:
        """Return what keeps this process from its work now, or may soon."""
        found = await self.checks.issues()
        return [*found, DRAINING.error()] if self.draining else found

    async def settle(self, grace_s: float) -> None:
        """Wait until the work that runs has ended and all have left, `grace_s` at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_s), asyncio.TaskGroup() as group:
                for leave in self.leavers:
                    group.create_task(leave())
                for loop in self.stage_loops:
                    await loop.ended.wait()

    def drain(self) -> None:
        """Claim nothing more, and say that no more should come."""
        self.draining = True
        for loop in self.stage_loops:
            loop.stop()
        for told in self.on_drain:
            told()
