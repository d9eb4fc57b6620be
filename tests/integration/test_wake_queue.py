"""Wake-ups on a real Valkey."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from interview_agent.adapters.valkey import ValkeyWakeQueue
from interview_agent.domain.errors import QueueError
from interview_agent.domain.route import Stage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from interview_agent.adapters.embedded import EmbeddedAddresses


@pytest_asyncio.fixture
async def valkey(servers: EmbeddedAddresses) -> AsyncIterator[Redis]:
    client = Redis.from_url(servers.redis_url, decode_responses=True)
    await client.flushall()
    yield client
    await client.aclose()


@asynccontextmanager
async def queue(
    servers: EmbeddedAddresses,
    *,
    reads: bool = True,
    name: str = "c1",
    on_failure: Callable[[], None] = lambda: None,
) -> AsyncIterator[ValkeyWakeQueue]:
    wake = ValkeyWakeQueue(
        servers.redis_url,
        stages=[Stage.STT],
        consumer=name,
        max_waiting=1000,
        on_failure=on_failure,
    )
    loops = [asyncio.create_task(wake.run_publisher())]
    if reads:
        loops.append(asyncio.create_task(wake.run_reader(Stage.STT)))
    try:
        yield wake
    finally:
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)
        await wake.aclose()


async def until(check: Callable[[], object], timeout_s: float = 10.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not await check():  # type: ignore[misc]  # every check here is a coroutine function
            await asyncio.sleep(0.01)


async def woken(wake: ValkeyWakeQueue, timeout_s: float = 5.0) -> bool:
    started = asyncio.get_running_loop().time()
    hinted = await wake.wait(Stage.STT, timeout_s)
    assert hinted is (asyncio.get_running_loop().time() - started < timeout_s - 0.5)
    return hinted


async def test_a_hint_wakes_another_process_and_the_stream_falls_back_to_nothing(
    servers: EmbeddedAddresses, valkey: Redis
) -> None:
    async with queue(servers, reads=False, name="api") as api, queue(servers) as worker:
        api.notify(Stage.STT, "m1", "main")
        assert await woken(worker)

        async def trimmed() -> bool:
            return await valkey.xlen("q:stt") == 0

        await until(trimmed)
        assert (await valkey.xpending("q:stt", "g:stt"))["pending"] == 0


async def test_hints_left_while_nobody_listened_are_not_lost(
    servers: EmbeddedAddresses, valkey: Redis
) -> None:
    async with queue(servers, reads=False) as api:
        api.notify(Stage.STT, "m1")

        async def stored() -> bool:
            return await valkey.xlen("q:stt") == 1

        await until(stored)
    async with queue(servers) as worker:
        assert await woken(worker)


async def test_a_flushed_server_gets_its_group_again(
    servers: EmbeddedAddresses, valkey: Redis
) -> None:
    async with queue(servers) as wake:
        wake.notify(Stage.STT, "m1")
        assert await woken(wake)
        await valkey.flushall()

        async def group_exists() -> bool:
            return bool(await valkey.exists("q:stt"))

        await until(group_exists)
        wake.notify(Stage.STT, "m1")
        assert await woken(wake)


async def test_foreign_entries_and_those_of_a_dead_reader_are_cleaned_away(
    servers: EmbeddedAddresses, valkey: Redis
) -> None:
    await valkey.xgroup_create("q:stt", "g:stt", id="0", mkstream=True)
    await valkey.xadd("q:stt", {"garbage": "x" * 10_000})
    assert await valkey.xreadgroup("g:stt", "dead", {"q:stt": ">"})
    entry = (await valkey.xpending_range("q:stt", "g:stt", "-", "+", 1))[0]["message_id"]
    await valkey.xclaim("q:stt", "g:stt", "dead", 0, [entry], idle=120_000)
    await valkey.xadd("q:stt", {"a": "b"})
    async with queue(servers) as wake:
        assert await woken(wake)

        async def clean() -> bool:
            pending = await valkey.xpending("q:stt", "g:stt")
            return pending["pending"] == 0 and await valkey.xlen("q:stt") == 0

        await until(clean)


async def test_dead_letters_carry_ids_and_the_reason(
    servers: EmbeddedAddresses, valkey: Redis
) -> None:
    async with queue(servers) as wake:
        wake.bury(Stage.STT, "m1", "main", "crashed")

        async def buried() -> bool:
            return await valkey.xlen("q:stt:dlq") == 1

        await until(buried)
    ((_, fields),) = await valkey.xrange("q:stt:dlq")
    assert fields == {"meeting": "m1", "track": "main", "reason": "crashed"}


async def test_every_entry_of_a_meeting_can_be_forgotten(
    servers: EmbeddedAddresses, valkey: Redis
) -> None:
    for number in range(1_100):
        meeting_id = "m1" if number % 2 else "other"
        await valkey.xadd("q:stt", {"meeting": meeting_id, "track": "main"})
    for stream in ("q:live", "q:erasure", "q:retention:dlq", "q:stt:dlq"):
        await valkey.xadd(stream, {"meeting": "m1", "track": "", "reason": "crashed"})
    await valkey.xadd("q:stt", {"written": "by somebody else"})
    async with queue(servers, reads=False) as wake:
        assert await wake.forget("m1") == 554
        assert await wake.forget("m1") == 0
    assert await valkey.xlen("q:stt") == 551
    assert await valkey.xlen("q:stt:dlq") == await valkey.xlen("q:live") == 0


async def test_the_dead_letters_of_one_piece_of_work_can_be_taken_away(
    servers: EmbeddedAddresses, valkey: Redis
) -> None:
    for meeting_id, track in (("m1", "main"), ("m1", "main"), ("m1", "other"), ("m2", "main")):
        letter = {"meeting": meeting_id, "track": track, "reason": "crashed"}
        await valkey.xadd("q:stt:dlq", letter)
        await valkey.xadd("q:live:dlq", letter)
    async with queue(servers, reads=False) as wake:
        assert await wake.unbury(Stage.STT, "m1", "main") == 2
        assert await wake.unbury(Stage.STT, "m1", "main") == 0
    left = [(fields["meeting"], fields["track"]) for _, fields in await valkey.xrange("q:stt:dlq")]
    assert left == [("m1", "other"), ("m2", "main")]
    assert await valkey.xlen("q:live:dlq") == 4


async def test_what_cannot_be_forgotten_now_is_said() -> None:
    wake = ValkeyWakeQueue(
        "redis://127.0.0.1:1/0",
        stages=[Stage.ERASURE],
        consumer="c",
        max_waiting=1000,
        on_failure=lambda: None,
    )
    with pytest.raises(QueueError):
        await wake.forget("m1")
    with pytest.raises(QueueError):
        await wake.unbury(Stage.ERASURE, "m1", "")
    await wake.aclose()


async def test_an_unreachable_server_blocks_nobody_and_is_counted() -> None:
    failures: list[int] = []
    wake = ValkeyWakeQueue(
        "redis://127.0.0.1:1/0",
        stages=[Stage.STT],
        consumer="c",
        max_waiting=1000,
        on_failure=lambda: failures.append(1),
    )
    publisher = asyncio.create_task(wake.run_publisher())
    for _ in range(1_500):
        wake.notify(Stage.STT, "m1")
    assert len(failures) >= 500, "what does not fit the outgoing buffer is dropped"
    async with asyncio.timeout(5):
        while len(failures) <= 500:
            await asyncio.sleep(0.01)
    publisher.cancel()
    await asyncio.gather(publisher, return_exceptions=True)
    await wake.aclose()
