"""Named loops: one that dies is restarted, one that keeps dying ends the process."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import structlog

from interview_agent.domain.errors import AgentError
from interview_agent.metrics import LOOP_RESTARTS, Metrics

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

MAX_DEATHS = 5
"""Deaths in a row, each within `_HEALTHY_AFTER_S` of its start, after which a loop is given up."""

_HEALTHY_AFTER_S = 60.0
_BACKOFF_S = 0.5
_BACKOFF_LIMIT_S = 10.0

log = structlog.get_logger(__name__)


class LoopDiedError(AgentError):
    """A loop of this process keeps dying."""

    code = "loop_gave_up"


async def _keep(
    name: str, loop: Callable[[], Awaitable[None]], metrics: Metrics, backoff_s: float
) -> None:
    deaths = 0
    while True:
        started = time.monotonic()
        try:
            await loop()
        except asyncio.CancelledError:
            raise
        except Exception as error:
            log.exception("loop_died", loop=name)
            deaths = 1 if time.monotonic() - started > _HEALTHY_AFTER_S else deaths + 1
            metrics.count(LOOP_RESTARTS, loop=name)
            if deaths >= MAX_DEATHS:
                message = f"the loop {name} died {deaths} times in a row"
                raise LoopDiedError(message) from error
            await asyncio.sleep(min(backoff_s * 2**deaths, _BACKOFF_LIMIT_S))
        else:
            return


async def supervise(
    loops: Mapping[str, Callable[[], Awaitable[None]]],
    metrics: Metrics,
    *,
    backoff_s: float = _BACKOFF_S,
) -> None:
    """Run loops until all have returned or one is given up; the others are cancelled then.

    A loop that died is started again after a pause that doubles from `backoff_s`. Raises
    `LoopDiedError`.
    """
    metrics.start_at_zero(LOOP_RESTARTS, ({"loop": name} for name in loops))
    try:
        async with asyncio.TaskGroup() as group:
            for name, loop in loops.items():
                group.create_task(_keep(name, loop, metrics, backoff_s), name=name)
    except* LoopDiedError as errors:
        raise errors.exceptions[0] from None
