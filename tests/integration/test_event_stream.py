"""Server-sent events over a real socket and a real database."""

from __future__ import annotations

import asyncio
import base64
import time
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest_asyncio
from yarl import URL

from admin_stand_ins import admin_parts
from audit_twin import NotedAudit
from erasure_stand import erasure_by
from event_stream_client import EventStream, event_stream
from feed_stand import Stand
from http_stand_ins import Readying
from interview_agent.adapters.local_fs import LocalFsBlobStore
from interview_agent.adapters.postgres import PostgresDeletions, PostgresLiveSessions
from interview_agent.domain.live import Alert, AlertCode, Partial
from interview_agent.domain.route import Stage
from interview_agent.domain.transcript import Word
from interview_agent.metrics import Metrics
from interview_agent.pipeline.ingest import Ingest
from interview_agent.pipeline.live_ingest import LiveIngest, LiveParts
from interview_agent.pipeline.reader import Reader
from interview_agent.web.app import build_app
from interview_agent.web.auth import ApiKeys
from interview_agent.web.listen import listen
from interview_agent.web.parts import ProbeParts, StreamTimes, WebParts
from socket_server import NoWakeUps

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from interview_agent.adapters.postgres import Database
    from interview_agent.ports.work import Claim
    from machine_pace import Pace

ALICE = {"X-API-Key": "alice"}
BOB = {"X-API-Key": "bob"}
SERVICE = {"X-API-Key": "machine"}
EVENTS = "/v1/meetings/m1/events"


class Served:
    """An API with quick heartbeats and little patience, and what is behind it."""

    def __init__(self, stand: Stand) -> None:
        self.stand = stand
        self.metrics = Metrics("api")
        self.listening = AsyncExitStack()
        self.address = ""

    async def start(self, folder: Path, stack: AsyncExitStack) -> None:
        blobs = LocalFsBlobStore(folder)
        await blobs.prepare()
        stack.push_async_callback(blobs.aclose)
        archive = self.stand.archive
        ingest = Ingest(
            self.stand.intake, archive, blobs, NoWakeUps(), clock=lambda: datetime.now(UTC)
        )
        parts = WebParts(
            ingest=ingest,
            live=LiveIngest(LiveParts(ingest.chunk, PostgresLiveSessions(self.stand.database))),
            reader=Reader(archive, pii_masking=True),
            feed=await stack.enter_async_context(self.stand.feed()),
            erasure=erasure_by(
                PostgresDeletions(self.stand.database), broadcast=self.stand.broadcast
            ),
            authenticator=ApiKeys(["alice", "bob"], ["machine"]),
            audit=NotedAudit(),
            probes=ProbeParts(self.metrics, Readying()),
            admin=admin_parts(self.stand.database, blobs, NotedAudit()),
            streams=StreamTimes(heartbeat_s=0.2, patience_s=1.0),
        )
        await stack.enter_async_context(self.listening)
        self.address = await listen(build_app(parts), self.listening, host="127.0.0.1", port=0)

    def follow(
        self, headers: dict[str, str] | None = None, **query: str
    ) -> AbstractAsyncContextManager[EventStream]:
        return event_stream(self.address, "m1", headers or ALICE, **query)

    async def heard(self) -> Claim:
        """Give Alice's meeting a chunk and claim its hearing."""
        said = {"seq": 0, "content_b64": base64.b64encode(b"audio").decode()}
        async with (
            aiohttp.ClientSession(self.address, headers=ALICE) as session,
            session.post("/v1/meetings/m1/chunks", json=said) as answer,
        ):
            assert answer.status == 200
        return await self.stand.claim(Stage.STT, lease_s=60.0)

    async def answer(
        self, path: str = EVENTS, headers: dict[str, str] | None = None, method: str = "GET"
    ) -> tuple[int, Any]:
        async with (
            aiohttp.ClientSession(self.address) as session,
            session.request(method, path, headers=headers) as answer,
        ):
            refused = answer.status >= 400 and method == "GET"
            return answer.status, await answer.json() if refused else dict(answer.headers)


@pytest_asyncio.fixture
async def served(database: Database, tmp_path: Path) -> AsyncIterator[Served]:
    made = Served(Stand(database))
    async with AsyncExitStack() as stack:
        await made.start(tmp_path / "chunks", stack)
        yield made


async def test_a_change_comes_as_an_update_that_a_reference_client_understands(
    served: Served,
) -> None:
    claim = await served.heard()
    async with served.follow() as stream:
        await stream.until(lambda it: it.told)
        await served.stand.commit(claim, "hello")
        await stream.until(lambda it: it.events)
    first, update = stream.told
    assert first.event_type == "meeting.status"
    assert first.message == {
        "schema_version": "v1",
        "event_type": "meeting.status",
        "meeting_id": "m1",
        "status": "processing",
        "version": 0,
        "event": 0,
    }
    assert (update.event_id, update.event_type) == (1, "transcript.update")
    assert update.message == {
        "schema_version": "v1",
        "event_type": "transcript.update",
        "meeting_id": "m1",
        "seq": 0,
        "speaker": None,
        "raw_text": "hello",
        "enhanced_text": "hello",
        "confidence": None,
        "segment_id": "seg_000001",
        "revision": 1,
        "is_final": True,
        "track": "main",
        "start": 0.0,
        "end": 1.0,
        "words": [],
        "language": "en",
        "event": 1,
    }


async def test_a_retraction_a_caption_and_an_alert_have_their_own_forms(served: Served) -> None:
    claim = await served.heard()
    await served.stand.commit(claim, "one", "two")
    spoken = (Word("three", 2.0, 2.5, 0.5), Word("four", 2.5, 3.0))
    caption = Partial("main", "seg_000003", 1, spoken, committed=1, last_seq=0)
    alert = Alert("main", AlertCode.CLIPPING, 2.5)
    async with served.follow(partials="true", last_event="2") as stream:
        await stream.until(lambda it: it.told)
        await served.stand.commit(claim, keep=1)
        await stream.until(lambda it: len(it.told) >= 2)
        served.stand.broadcast.publish("m1", caption)
        await stream.until(lambda it: len(it.told) >= 3)
        served.stand.broadcast.publish("m1", alert)
        await stream.until(lambda it: len(it.told) >= 4)
    _, retract, partial, told_alert = stream.told
    head = {"schema_version": "v1", "meeting_id": "m1"}
    assert retract.message == head | {
        "event_type": "transcript.retract",
        "segment_id": "seg_000002",
        "track": "main",
        "event": 3,
    }
    assert partial.message == head | {
        "event_type": "transcript.partial",
        "segment_id": "seg_000003",
        "revision": 1,
        "track": "main",
        "start": 2.0,
        "end": 3.0,
        "text": "three four",
        "words": [
            {"text": "three", "start": 2.0, "end": 2.5, "probability": 0.5},
            {"text": "four", "start": 2.5, "end": 3.0, "probability": None},
        ],
        "committed": 1,
    }
    assert told_alert.message == head | {
        "event_type": "alert",
        "track": "main",
        "code": "clipping",
        "since_s": 2.5,
    }
    assert (partial.event_id, told_alert.event_id) == (None, None)


async def test_captions_come_only_to_those_who_ask_for_them(served: Served) -> None:
    claim = await served.heard()
    async with served.follow() as plain, served.follow(partials="true") as curious:
        for stream in (plain, curious):
            await stream.until(lambda it: it.told)
        caption = Partial("main", "s", 1, (Word("one", 9.0, 9.5),), committed=0, last_seq=0)
        served.stand.broadcast.publish("m1", caption)
        await curious.until(lambda it: it.told[-1].event_type == "transcript.partial")
        await served.stand.commit(claim, "one")
        await plain.until(lambda it: it.events)
    assert [each.event_type for each in plain.told] == ["meeting.status", "transcript.update"]


async def test_who_connects_again_with_the_last_id_gets_each_event_once(served: Served) -> None:
    claim = await served.heard()
    events: list[int] = []
    last: int | None = None
    for step in range(6):
        headers = ALICE if last is None else ALICE | {"Last-Event-ID": str(last)}
        # The address stays as it was at first; the header knows better.
        async with served.follow(headers, last_event="0") as stream:
            await served.stand.commit(claim, *(f"{step} {n}" for n in range(3)), keep=step)
            wanted = (await served.stand.archive.meeting("m1")).meeting.event
            if step % 2:
                await stream.until(lambda it: it.events)
            else:
                await stream.until(lambda it, end=wanted: it.events and it.events[-1] == end)
        events += stream.events
        last = stream.last_event_id
    async with served.follow(ALICE | {"Last-Event-ID": str(last)}) as stream:
        await stream.until(lambda it: events + it.events == list(range(1, wanted + 1)))


async def test_a_new_listener_gets_a_number_to_come_back_with_before_anything_happens(
    served: Served,
) -> None:
    await served.stand.commit(await served.heard(), "one", "two")
    async with served.follow() as stream:
        await stream.until(lambda it: it.told)
    assert stream.told[0].event_id == 2
    async with served.follow(last_event="1") as stream:
        await stream.until(lambda it: it.events == [2])
    assert stream.told[0].event_id == 1, "what is still to come must not be skipped"


async def test_users_get_masked_texts_and_services_plain_ones(served: Served) -> None:
    claim = await served.heard()
    await served.stand.commit(claim, "мой номер 8 916 123-45-67")
    async with served.follow(last_event="0") as user, served.follow(SERVICE, last_event="0") as own:
        for stream in (user, own):
            await stream.until(lambda it: it.events)
    assert user.told[-1].message["raw_text"] == "мой номер [PHONE]"
    assert own.told[-1].message["raw_text"] == "мой номер 8 916 123-45-67"


async def test_refusals_come_before_the_stream_begins(served: Served) -> None:
    await served.heard()
    assert (await served.answer())[0] == 401
    foreign = await served.answer(headers=BOB)
    absent = await served.answer("/v1/meetings/nobody/events", headers=BOB)
    assert foreign == absent
    assert (foreign[0], foreign[1]["detail"]["code"]) == (404, "not_found")
    for query in ("last_event=-1", "last_event=x", "partials=perhaps"):
        assert (await served.answer(f"{EVENTS}?{query}", headers=ALICE))[0] == 422
    status, refused = await served.answer(headers=ALICE | {"Last-Event-ID": "x"})
    assert status == 422
    assert refused["detail"]["details"]["errors"][0]["loc"] == ["header", "Last-Event-ID"]
    assert (await served.answer("/v1/meetings/-/events", headers=ALICE))[0] == 422
    status, headers = await served.answer(headers=ALICE, method="HEAD")
    assert (status, headers["Content-Type"]) == (200, "text/event-stream; charset=utf-8")
    assert served.stand.listeners == 0


async def test_a_silent_stream_says_that_it_is_there(served: Served) -> None:
    await served.heard()
    async with served.follow() as stream:
        await stream.until(lambda it: it.comments >= 3)
    assert [each.event_type for each in stream.told] == ["meeting.status"]


async def test_a_listener_that_left_is_noticed(served: Served) -> None:
    await served.heard()
    async with served.follow() as stream:
        await stream.until(lambda it: it.told)
        assert served.stand.listeners == 1
    async with asyncio.timeout(5):
        while served.stand.listeners:
            await asyncio.sleep(0.01)


async def test_a_listener_that_does_not_read_is_disconnected_and_holds_up_nobody(
    served: Served,
) -> None:
    claim = await served.heard()
    text = "слово " * 5_000
    for step in range(20):
        await served.stand.commit(claim, *[text] * 20, keep=step * 20)
    url = URL(served.address)
    reader, writer = await asyncio.open_connection(url.host, url.port, limit=2**10)
    writer.write(
        f"GET {EVENTS}?last_event=0 HTTP/1.1\r\nHost: x\r\nX-API-Key: machine\r\n\r\n".encode()
    )
    async with asyncio.timeout(10):
        while served.stand.listeners < 1:
            await asyncio.sleep(0.01)
    async with served.follow(SERVICE) as quick:
        await quick.until(lambda it: it.told)
        step = 400
        async with asyncio.timeout(30):
            while served.stand.listeners == 2:
                step += 1
                await served.stand.commit(claim, f"{step}", keep=step)
                await quick.until(lambda it, end=step: it.events and it.events[-1] == end, 5)
    # Whatever had left us is all that this listener gets, and then the end.
    received = 0
    async with asyncio.timeout(10):
        with suppress(ConnectionError):
            while piece := await reader.read(2**20):
                received += len(piece)
    assert 0 < received < 20 * 2**20
    writer.close()


async def test_a_deleted_meeting_ends_the_stream_and_is_not_found_again(served: Served) -> None:
    await served.heard()
    async with served.follow() as stream:
        await stream.until(lambda it: it.told)
        await PostgresDeletions(served.stand.database).request("m1", "alice")
        await stream.until(lambda it: it.ended)
    last = stream.told[-1]
    assert (last.event_type, last.message["code"]) == ("error", "meeting_gone")
    assert (await served.answer(headers=ALICE))[0] == 404


async def test_streams_end_at_once_when_the_process_stops(served: Served, pace: Pace) -> None:
    await served.heard()
    async with served.follow() as stream:
        await stream.until(lambda it: it.told)
        asked_s = time.monotonic()
        await served.listening.aclose()
        assert time.monotonic() - asked_s < pace.slowed(2)
        await stream.until(lambda it: it.ended)


async def test_the_time_of_listening_is_not_counted_as_the_time_of_an_answer(
    served: Served,
) -> None:
    await served.heard()
    async with served.follow() as stream:
        await stream.until(lambda it: it.told)
    async with asyncio.timeout(5):
        while f'route="{EVENTS}"'.replace("m1", "{meeting_id}") not in served.metrics.render():
            await asyncio.sleep(0.01)
    rendered = served.metrics.render()
    assert 'agent_requests_total{method="GET",route="/v1/meetings/{meeting_id}/events"' in rendered
    latencies = [line for line in rendered.splitlines() if "request_latency_ms_count" in line]
    assert latencies
    assert all(line.endswith(" 0.0") for line in latencies if "/events" in line)


async def test_a_hundred_listeners_hear_of_a_change_at_once(served: Served) -> None:
    claim = await served.heard()
    async with AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(served.follow()) for _ in range(100)]
        for stream in streams:
            await stream.until(lambda it: it.told)
        delays_s = []
        for step in range(5):
            sent_s = time.monotonic()
            await served.stand.commit(claim, f"text {step}", keep=step)
            for stream in streams:
                await stream.until(lambda it, end=step + 1: it.events and it.events[-1] == end)
            delays_s.append(time.monotonic() - sent_s)
    assert min(delays_s) < 0.5, "faster than by polling"
