"""A composed service: what it runs, whether it can work, and how it is made to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from interview_agent.domain.errors import AgentError

if TYPE_CHECKING:
    from interview_agent.domain.roles import Role
    from interview_agent.metrics import Metrics
    from interview_agent.runtime.loop import StageLoop
    from interview_agent.settings import Settings

_CHECK_TIMEOUT_S = 3.0

Loop = Callable[[], Awaitable[None]]
Leave = Callable[[], Coroutine[Any, Any, None]]
Check = Callable[[], Awaitable[bool]]


@dataclass(slots=True)
class Service:
    """The loops of one process, the checks of what they need, and the address it answers at."""

    settings: Settings
    roles: frozenset[Role]
    metrics: Metrics
    loops: dict[str, Loop] = field(default_factory=dict)
    stage_loops: list[StageLoop] = field(default_factory=list)
    checks: dict[str, Check] = field(default_factory=dict)
    on_drain: list[Callable[[], None]] = field(default_factory=list)
    """Called at once when the process is to stop."""
    leavers: list[Leave] = field(default_factory=list)
    """Called when the process stops, before its loops end: what others are owed is given."""
    address: str = ""
    draining: bool = False

    async def readiness(self) -> Mapping[str, bool]:
        """Ask everything that this process needs whether it can be used now, all at once."""

        async def ask(check: Check) -> bool:
            try:
                async with asyncio.timeout(_CHECK_TIMEOUT_S):
                    return await check()
            except (AgentError, TimeoutError):
                return False

        async with asyncio.TaskGroup() as group:
            asked = {name: group.create_task(ask(check)) for name, check in self.checks.items()}
        answers = {name: task.result() for name, task in asked.items()}
        return {**answers, "not_draining": not self.draining}

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
