"""What everything that carries signals has to do, the twin and the real one."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Protocol

import pytest_asyncio

from interview_agent.adapters.valkey import ValkeyBroadcast
from interview_agent.domain.live import Alert, AlertCode, Nudge, Partial, Signal
from interview_agent.domain.transcript import Word
from local_broadcast import LocalBroadcast

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    import pytest

    from interview_agent.adapters.embedded import EmbeddedAddresses
    from interview_agent.ports.broadcast import Broadcast

PARTIAL = Partial(
    track="main",
    segment_id="seg_000001",
    revision=3,
    words=(Word("Привет,", 0.5, 0.9, 0.75), Word("мир", 1.0, 1.25)),
    committed=1,
    last_seq=7,
    language="ru",
)
SIGNALS: tuple[Signal, ...] = (Nudge(), PARTIAL, Alert("left", AlertCode.NO_AUDIO, 4.5))


class Made(Protocol):
    """Makes one more end of the same broadcast, as another process has it."""

    async def __call__(self) -> Broadcast: ...


@asynccontextmanager
async def valkey_broadcast(url: str) -> AsyncIterator[ValkeyBroadcast]:
    broadcast = ValkeyBroadcast(url, on_failure=lambda: None)
    loops = [
        asyncio.create_task(broadcast.run_publisher()),
        asyncio.create_task(broadcast.run_listener()),
    ]
    try:
        yield broadcast
    finally:
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)
        await broadcast.aclose()


@pytest_asyncio.fixture(params=["twin", "valkey"])
async def another(
    request: pytest.FixtureRequest, servers: EmbeddedAddresses
) -> AsyncIterator[Made]:
    """Makes ends of one broadcast."""
    twin = LocalBroadcast()
    async with AsyncExitStack() as stack:

        async def make() -> Broadcast:
            if request.param == "twin":
                return twin
            assert servers.redis_url is not None
            return await stack.enter_async_context(valkey_broadcast(servers.redis_url))

        yield make


async def until(check: Callable[[], bool], timeout_s: float = 10.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not check():
            await asyncio.sleep(0.005)


async def connected(sender: Broadcast, meeting_id: str, heard: list[Signal]) -> None:
    """Return once what is sent for a meeting is heard, and forget what was."""
    async with asyncio.timeout(10):
        while not heard:
            sender.publish(meeting_id, Nudge())
            await asyncio.sleep(0.02)
    marker = Alert("marker", AlertCode.CLIPPING, 1.0)
    sender.publish(meeting_id, marker)
    await until(lambda: marker in heard)
    heard.clear()


async def test_a_signal_arrives_as_it_was_sent_in_order_also_in_another_process(
    another: Made,
) -> None:
    sender, receiver = await another(), await another()
    heard: list[Signal] = []
    receiver.listen("m1", heard.append)
    await connected(sender, "m1", heard)
    for signal in SIGNALS:
        sender.publish("m1", signal)
    await until(lambda: len(heard) >= len(SIGNALS))
    assert heard == list(SIGNALS)


async def test_every_listener_of_a_meeting_hears_and_nobody_else(another: Made) -> None:
    broadcast = await another()
    first: list[Signal] = []
    second: list[Signal] = []
    other: list[Signal] = []
    for meeting_id, heard in (("m1", first), ("m1", second), ("m2", other)):
        broadcast.listen(meeting_id, heard.append)
    for meeting_id, heard in (("m2", other), ("m1", first), ("m1", second)):
        await connected(broadcast, meeting_id, heard)
    broadcast.publish("m1", PARTIAL)
    await until(lambda: PARTIAL in first and PARTIAL in second)
    broadcast.publish("m2", SIGNALS[-1])
    await until(lambda: SIGNALS[-1] in other)
    assert first.count(PARTIAL) == second.count(PARTIAL) == 1
    assert PARTIAL not in other
    assert SIGNALS[-1] not in first + second


async def test_who_stopped_listening_hears_no_more_and_the_others_do(another: Made) -> None:
    broadcast = await another()
    gone: list[Signal] = []
    stays: list[Signal] = []
    stop = broadcast.listen("m1", gone.append)
    broadcast.listen("m1", stays.append)
    await connected(broadcast, "m1", gone)
    stop()
    stop()
    stays.clear()
    broadcast.publish("m1", PARTIAL)
    await until(lambda: PARTIAL in stays)
    assert gone == []


async def test_a_meeting_can_be_listened_to_again(another: Made) -> None:
    broadcast = await another()
    for _ in range(3):
        heard: list[Signal] = []
        stop = broadcast.listen("m1", heard.append)
        await connected(broadcast, "m1", heard)
        stop()


async def test_a_signal_that_nobody_listens_to_is_lost_without_harm(another: Made) -> None:
    broadcast = await another()
    broadcast.publish("nobody", PARTIAL)
    heard: list[Signal] = []
    broadcast.listen("nobody", heard.append)
    await connected(broadcast, "nobody", heard)
