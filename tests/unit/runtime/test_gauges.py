"""What the loops that look after the gauges show."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from interview_agent.domain.route import Stage
from interview_agent.metrics import Metrics
from interview_agent.ports.work import QueueDepth
from interview_agent.runtime import gauges

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable


class Depths:
    """A store of work that knows its depths alone."""

    def __init__(self) -> None:
        self.reasons: dict[str, int] = {}

    async def depths(self) -> list[QueueDepth]:
        return [QueueDepth(Stage.STT, 2, 1, sum(self.reasons.values()), 3.5, self.reasons)]


def shown(metrics: Metrics, name: str) -> dict[str, float]:
    """Return the series of a name, by what stands between the braces."""
    found = {}
    for line in metrics.render().splitlines():
        series, _, value = line.rpartition(" ")
        if series.partition("{")[0] == name:
            found[series.partition("{")[2].removesuffix("}")] = float(value)
    return found


@asynccontextmanager
async def running(loop: Callable[[], Awaitable[Any]]) -> AsyncIterator[None]:
    task = asyncio.ensure_future(loop())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(metrics: Metrics, name: str, wanted: dict[str, float]) -> None:
    async with asyncio.timeout(10):
        while shown(metrics, name) != wanted:
            await asyncio.sleep(0.005)


async def test_reasons_are_codes_and_fall_back_to_nothing() -> None:
    work, metrics = Depths(), Metrics("test")
    queues = gauges.QueueGauges(work, metrics)  # type: ignore[arg-type]
    work.reasons = {"bad_audio": 2, "": 1, "password=hunter2": 1}
    await queues.refresh()
    name, none = "agent_dlq_reasons", {"crashed": 0.0, "internal": 0.0}
    reasons = {**none, "bad_audio": 2.0, "other": 2.0}
    assert shown(metrics, name) == {
        f'queue="q:stt",reason="{reason}"': number for reason, number in reasons.items()
    }
    assert shown(metrics, "agent_dlq_depth") == {'queue="q:stt"': 4}
    assert shown(metrics, "agent_queue_depth") == {'queue="q:stt"': 3}
    work.reasons = {}
    await queues.refresh()
    assert set(shown(metrics, name).values()) == {0.0}
    assert len(shown(metrics, name)) == 4


async def test_a_delay_of_the_event_loop_is_shown_for_a_while() -> None:
    metrics = Metrics("test")
    name = "agent_event_loop_lag_seconds"
    async with running(partial(gauges.measure_loop_lag, metrics)):
        await asyncio.sleep(0.1)
        time.sleep(0.9)  # noqa: ASYNC251 - this is the fault
        async with asyncio.timeout(10):
            while not shown(metrics, name):
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.7)
        assert shown(metrics, name)[""] > 0.3, "a later look without delay does not hide it"


async def test_the_state_of_model_and_servers_is_followed() -> None:
    metrics, states = Metrics("test"), {"postgres": True, "valkey": False}
    usable = [True]
    async with (
        running(partial(gauges.watch_model, metrics, lambda: usable[0], every_s=0.01)),
        running(partial(gauges.watch_embedded, metrics, lambda: states, every_s=0.01)),
    ):
        await until(metrics, "agent_speech_model_ok", {"": 1})
        await until(metrics, "agent_embedded_up", {'child="postgres"': 1, 'child="valkey"': 0})
        usable[0], states["valkey"] = False, True
        await until(metrics, "agent_speech_model_ok", {"": 0})
        await until(metrics, "agent_embedded_up", {'child="postgres"': 1, 'child="valkey"': 1})
