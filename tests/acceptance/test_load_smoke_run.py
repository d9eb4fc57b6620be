"""The load smoke against a running service."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from load_smoke import measure
from running_agents import KEY

if TYPE_CHECKING:
    from running_agents import Agents


async def test_every_meeting_is_followed_to_its_report_and_dead_letters_are_counted(
    agents: Agents,
) -> None:
    agent = agents.make(STT_PROVIDER="mock", SERVICE_API_KEYS="load-service")
    await agent.start()
    options = Namespace(
        api_key=KEY, service_key="load-service", meetings=3, chunks=2, concurrency=2
    )
    figures = await measure(agent.address, options)
    assert figures.faults == []
    assert len(figures.done_s) == 3
    assert len(figures.ingest_ms) == 6
    assert figures.given_up == 0
    stranger = Namespace(api_key="wrong", service_key="", meetings=1, chunks=1, concurrency=1)
    refused = await measure(agent.address, stranger)
    assert refused.failure_rate == 1
    assert refused.given_up is None
