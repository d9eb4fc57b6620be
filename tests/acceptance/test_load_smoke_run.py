"""The load smoke against a running service."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from load_smoke import measure
from running_agents import KEY

if TYPE_CHECKING:
    from running_agents import Agents

SERVICE_KEY = "load-service"


def _options(api_key: str, service_key: str, **sizes: int) -> Namespace:
    sizes = {"meetings": 1, "chunks": 1, "concurrency": 1, **sizes}
    return Namespace(api_key=api_key, service_key=service_key, **sizes)


async def test_every_meeting_is_followed_to_its_report_and_dead_letters_are_counted(
    agents: Agents,
) -> None:
    agent = agents.make(STT_PROVIDER="mock", SERVICE_API_KEYS=SERVICE_KEY)
    await agent.start()
    sizes = {"meetings": 3, "chunks": 2, "concurrency": 2}
    results = await measure(agent.address, _options(KEY, SERVICE_KEY, **sizes))
    for figures in (results.http, results.socket):
        assert figures.faults == []
        assert len(figures.done_s) == 3
        assert len(figures.ack_ms) == 6
    assert results.socket.calls == 3 * (2 + 2)
    assert results.given_up == 0
    assert results.strangers == {"service key at /v1/ws": 403, "user at /v1/ws/internal": 403}
    meetings = await agent.get("/v1/meetings")
    assert len(meetings["meetings"]) == 6


async def test_whoever_is_not_let_in_has_no_meeting_and_a_contour_that_opens_is_seen(
    agents: Agents,
) -> None:
    agent = agents.make(STT_PROVIDER="mock", SERVICE_API_KEYS=SERVICE_KEY)
    await agent.start()
    stranger = await measure(agent.address, _options("wrong", ""))
    assert (stranger.http.failure_rate, stranger.socket.failure_rate) == (1, 1)
    assert stranger.given_up is None
    assert stranger.strangers == {"service key at /v1/ws": None, "user at /v1/ws/internal": 401}
    # A service may use every route of users, but not their socket; its own one opens.
    service = await measure(agent.address, _options(SERVICE_KEY, ""))
    assert (service.http.failure_rate, service.socket.failure_rate) == (0, 1)
    assert service.strangers["user at /v1/ws/internal"] == 101
