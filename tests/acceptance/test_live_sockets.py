"""Live sockets of the whole product: captions, restarts, clients of the reference."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

import pytest_asyncio
from aiohttp import ClientSession

from running_agents import KEY
from socket_client import Dialler, chunk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from running_agents import Agent, Agents


@pytest_asyncio.fixture
async def session() -> AsyncIterator[ClientSession]:
    async with ClientSession() as opened:
        yield opened


@pytest_asyncio.fixture
async def agent(agents: Agents) -> Agent:
    (made,) = agents.make_apart(
        ["all"], STT_PROVIDER="mock", LIVE_CHUNK_MS="1000", SERVICE_API_KEYS="machine"
    )
    await made.start()
    return made


async def test_a_client_of_the_reference_is_told_of_segments_and_errors_alone(
    agent: Agent, session: ClientSession
) -> None:
    dial = Dialler(session, agent.address)
    talk = await dial.open(KEY)
    await talk.send(chunk("ref-1", 0, b"one"))
    await talk.send(chunk("ref-1", 1, b"two!"))
    # Of another meeting: taken, but not told of.
    await talk.send(chunk("ref-2", 0, b"elsewhere"))
    await talk.send(chunk("ref-1", 1, b"other bytes"))
    await talk.send({"event_type": "nonsense"})
    enhanced: set[int] = set()
    while enhanced < {0, 1}:
        update = await talk.expect("transcript.update")
        if "quality" in update:
            assert 0 <= update["quality"] <= 1
            assert isinstance(update["meta"]["applied"], list)
            enhanced.add(update["seq"])
    updates = [each for each in talk.heard if each["event_type"] == "transcript.update"]
    for seq, body in ((0, b"one"), (1, b"two!")):
        raw, *later = [each for each in updates if each["seq"] == seq]
        assert later
        assert raw["schema_version"] == "v1"
        assert raw["raw_text"] == f"mock_transcript bytes={len(body)} sr=16000"
        assert raw["enhanced_text"] == raw["raw_text"]
        assert {"meeting_id", "speaker", "confidence"} <= set(raw)
    assert {each["event_type"] for each in talk.heard} == {"transcript.update", "error"}
    assert {each["meeting_id"] for each in updates} == {"ref-1"}
    errors = [each["code"] for each in talk.heard if each["event_type"] == "error"]
    assert sorted(errors) == ["bad_event", "conflict"]
    await agent.until_done("ref-2")


async def test_sigterm_sends_every_ack_that_is_owed_and_a_restart_goes_on(
    agent: Agent, session: ClientSession
) -> None:
    dial = Dialler(session, agent.address)
    talks = [await dial.open(KEY) for _ in range(3)]
    for number, talk in enumerate(talks):
        await talk.start(f"m{number}")
        await talk.frames(range(4))
        await talk.still_answers()
    agent.signal(signal.SIGTERM)
    for talk in talks:
        assert await talk.closed() == 1012
        assert talk.acked() == [0, 1, 2, 3]
    assert await agent.ended() == 0
    await agent.start()
    talk = await Dialler(session, agent.address).open(KEY)
    await talk.say("session.resume", meeting_id="m1", last_event=0)
    ready = await talk.expect("session.ready")
    assert ready["next_frame"] == 4
    await talk.expect("transcript.update", event=1)
    await talk.frames(range(4, 6))
    await talk.say("meeting.finish", meeting_id="m1")
    await talk.expect("meeting.status", status="done")
    assert talk.acked() == [4, 5]
    events = [each["event"] for each in talk.heard if each["event_type"] == "transcript.update"]
    assert events == list(range(1, len(events) + 1))


async def test_after_a_kill_the_next_frame_is_the_first_that_is_not_durable(
    agent: Agent, session: ClientSession
) -> None:
    talk = await Dialler(session, agent.address).open(KEY)
    await talk.start("m1")
    await talk.frames(range(15))
    await talk.acked_up_to(9)
    await agent.kill()
    await talk.closed()
    await agent.start()
    resumed = await Dialler(session, agent.address).open(KEY)
    await resumed.say("session.resume", meeting_id="m1")
    next_frame = (await resumed.expect("session.ready"))["next_frame"]
    assert next_frame >= len(talk.acked()) >= 10
    await resumed.frames(range(next_frame, 20))
    await resumed.say("meeting.finish", meeting_id="m1")
    await resumed.expect("meeting.status", status="done")
    assert resumed.acked() == list(range(next_frame, 20))
    chunks = await agent.get("/v1/meetings/m1/chunks")
    assert sum(each["size_bytes"] for each in chunks["tracks"][0]["chunks"]) == 20 * 3200


async def test_a_listener_of_the_service_contour_hears_what_a_user_sends(
    agent: Agent, session: ClientSession
) -> None:
    dial = Dialler(session, agent.address)
    sender = await dial.open(KEY)
    await sender.start("m1", track="anna")
    listener = await dial.open("machine", "/v1/ws/internal")
    await listener.say("session.subscribe", meeting_id="m1", last_event=0)
    await listener.expect("meeting.status")
    await sender.frames(range(2))
    await sender.say("session.stop")
    update = await listener.expect("transcript.update", track="anna")
    assert (update["event"], update["is_final"]) == (1, True)


async def test_a_drain_of_many_sockets_owes_nobody_an_acknowledgement(
    agent: Agent, session: ClientSession
) -> None:
    dial = Dialler(session, agent.address)
    talks = [await dial.open(KEY) for _ in range(40)]
    for number, talk in enumerate(talks):
        await talk.start(f"many-{number}")
        await talk.frames(range(9), b"ab")
    agent.signal(signal.SIGTERM)
    async with asyncio.TaskGroup() as group:
        closing = [group.create_task(talk.closed()) for talk in talks]
    assert {task.result() for task in closing} == {1012}
    assert await agent.ended() == 0
    await agent.start()
    again = await Dialler(session, agent.address).open(KEY)
    for number in range(0, 40, 8):
        await again.say("session.resume", meeting_id=f"many-{number}")
        ready = await again.expect("session.ready")
        assert talks[number].acked() == list(range(ready["next_frame"]))
        await again.say("session.stop")
