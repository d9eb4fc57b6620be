"""What listeners are told, over a real database."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest

from feed_stand import OWNER, SERVICE, STRANGER, Reading, Stand
from interview_agent.adapters.postgres import PostgresDeletions
from interview_agent.domain.errors import (
    Backpressure,
    MeetingGone,
    NotFound,
    ValidationFailed,
)
from interview_agent.domain.live import Nudge
from interview_agent.domain.meeting import Status
from interview_agent.domain.route import Stage
from interview_agent.pipeline.feed import StatusChanged
from interview_agent.ports.intake import NewMeeting
from interview_agent.ports.stage_records import EnhancedText
from work_bench import progress

if TYPE_CHECKING:
    from interview_agent.domain.identity import Identity
    from interview_agent.domain.transcript import TranscriptEvent
    from interview_agent.ports.work import Claim


def stands(events: list[TranscriptEvent]) -> dict[str, tuple[str, str, int]]:
    """Return the transcript that a log adds up to."""
    found = {}
    for event in events:
        if event.segment is None:
            del found[event.segment_id]
        else:
            found[event.segment_id] = (
                event.segment.raw_text,
                event.segment.text,
                event.segment.revision,
            )
    return found


async def enhance_all(stand: Stand, claim: Claim) -> None:
    waiting = await stand.records.unenhanced(claim, 100)
    texts = [
        EnhancedText(
            each.segment.segment_id,
            each.segment.revision,
            each.segment.raw_text.capitalize() + ".",
            (),
        )
        for each in waiting
    ]
    await stand.records.commit_enhanced(claim, texts)


async def test_numbers_have_no_gap_and_no_repeat_however_many_stages_write_at_once(
    stand: Stand,
) -> None:
    """Four tracks are heard, heard again and enhanced at once; the log adds up to what stands."""
    claims = [await stand.heard(f"track-{number}") for number in range(4)]

    async def hear(claim: Claim) -> None:
        chance = random.Random(claim.track)
        for step in range(12):
            texts = [f"{claim.track} {step} {n}" for n in range(chance.randrange(1, 4))]
            await stand.commit(claim, *texts, keep=chance.randrange(0, 3))

    async def enhance() -> None:
        for _ in range(12):
            await enhance_all(stand, claims[0])

    await asyncio.gather(*(hear(claim) for claim in claims), enhance())
    await enhance_all(stand, claims[0])
    events = await stand.archive.events("m1", 0, 10_000)
    newest = (await stand.archive.meeting("m1")).meeting.event
    assert [event.event for event in events] == list(range(1, newest + 1))
    assert any(event.segment is None for event in events)
    segments = await stand.archive.segments("m1")
    assert stands(events) == {
        each.segment_id: (each.raw_text, each.text, each.revision) for each in segments
    }
    numbered = {event.segment_id: event.event for event in events}
    assert {each.segment_id: each.event for each in segments}.items() <= numbered.items()


async def test_a_listener_gets_every_event_from_wherever_it_resumes(stand: Stand) -> None:
    claim = await stand.heard()
    for step in range(60):
        await stand.commit(claim, f"text {step}", f"next {step}", keep=step % 3)
    newest = (await stand.archive.meeting("m1")).meeting.event
    assert newest > 100, "more than is kept in memory and than one page holds"
    async with stand.feed() as feed:
        early = Reading(feed)
        await early.until_event(newest)
        assert early.events == list(range(1, newest + 1))
        for after in (*range(0, newest, 7), newest - 1, newest, newest + 5, 10**30):
            late = Reading(feed, after=after)
            await late.until(lambda items: items)
            first = late.items[0]
            assert isinstance(first, StatusChanged)
            assert first.event == newest
            if after < newest:
                await late.until_event(newest)
            assert late.events == list(range(after + 1, newest + 1))
            await late.close()
        now = Reading(feed, after=None)
        await now.until(lambda items: items)
        await stand.commit(claim, "last", keep=99)
        await now.until_event(newest + 1)
        assert now.events == [newest + 1]
        await early.until_event(newest + 1)
        for each in (early, now):
            await each.close()


async def test_a_lost_nudge_costs_a_second(stand: Stand) -> None:
    claim = await stand.heard()
    async with stand.feed() as feed:
        listener = Reading(feed)
        await listener.until(lambda items: items)
        for step in range(3):
            await stand.records.commit_progress(claim, progress(f"text {step}", keep=step))
            async with asyncio.timeout(2.5):
                await listener.until_event(step + 1)
        assert listener.events == [1, 2, 3]
        await listener.close()


async def test_a_nudge_brings_the_event_at_once(stand: Stand) -> None:
    claim = await stand.heard()
    delays_s = []
    async with stand.feed() as feed:
        listener = Reading(feed)
        await listener.until(lambda items: items)
        for step in range(10):
            started_s = asyncio.get_running_loop().time()
            await stand.commit(claim, f"text {step}", keep=step)
            await listener.until_event(step + 1)
            delays_s.append(asyncio.get_running_loop().time() - started_s)
        await listener.close()
    assert min(delays_s) < 0.5, "faster than by polling"


async def test_a_listener_gets_what_it_missed_while_the_database_was_away(stand: Stand) -> None:
    claim = await stand.heard()
    async with stand.feed() as feed:
        listener = Reading(feed)
        await listener.until(lambda items: items)
        stand.counted.away = True
        for step in range(80):
            await stand.commit(claim, f"text {step}", keep=step)
        reads = stand.counted.reads
        async with asyncio.timeout(5):
            while stand.counted.reads == reads:
                await asyncio.sleep(0.01)
        stand.counted.away = False
        await listener.until_event(80)
        assert listener.events == list(range(1, 81))
        await listener.close()


async def test_one_read_of_the_rows_serves_all_listeners_of_a_meeting(stand: Stand) -> None:
    claim = await stand.heard()
    async with stand.feed() as feed:
        listeners = [Reading(feed) for _ in range(200)]
        for each in listeners:
            await each.until(lambda items: items)
        before = stand.counted.reads
        await stand.commit(claim, "one", "two", "three")
        for each in listeners:
            await each.until_event(3)
        # One look for the nudge and perhaps one for the second that passed meanwhile.
        assert stand.counted.reads - before <= 2 * 3
        assert all(each.events == [1, 2, 3] for each in listeners)
        assert stand.listeners == 200
        for each in listeners:
            await each.close()
    assert stand.listeners == 0
    assert stand.broadcast.listened_to == set()


async def test_the_status_follows_the_events_it_speaks_of(stand: Stand) -> None:
    await stand.intake.start(NewMeeting("m1", "subject:a"))
    async with stand.feed() as feed:
        listener = Reading(feed)
        await listener.until(lambda _: listener.statuses == [Status.QUEUED])
        claim = await stand.heard()
        await stand.commit(claim, "one", "two")
        await stand.intake.finish("m1", {})
        await stand.work.complete(claim)
        await stand.work.complete(await stand.claim(Stage.STT))
        enhancer = await stand.claim(Stage.ENHANCER)
        await enhance_all(stand, enhancer)
        await stand.work.complete(enhancer)
        analytics = await stand.claim(Stage.ANALYTICS)
        record = await stand.records.record(analytics)
        await stand.records.commit_report(analytics, record.meeting.audio_version, {"a": 1})
        stand.broadcast.publish("m1", Nudge())
        await listener.until(lambda _: Status.DONE in listener.statuses)
        done = listener.items[-1]
        assert done == StatusChanged(Status.DONE, version=1, event=4)
        assert listener.events == [1, 2, 3, 4]
        assert [each.quality for each in listener.updates] == [None, None, 0.6, 0.6]
        await listener.close()


async def test_a_foreign_meeting_is_an_absent_one_also_while_its_owner_listens(
    stand: Stand,
) -> None:
    await stand.heard()
    async with stand.feed() as feed:

        async def refused(caller: Identity, meeting_id: str) -> NotFound:
            with pytest.raises(NotFound) as raised:
                await anext(feed.follow(caller, meeting_id, after=0, partials=True))
            return raised.value

        absent = await refused(STRANGER, "nobody")
        cold = await refused(STRANGER, "m1")
        owner = Reading(feed)
        await owner.until(lambda items: items)
        warm = await refused(STRANGER, "m1")
        assert (absent.message, absent.details) == (cold.message, cold.details)
        assert (absent.message, absent.details) == (warm.message, warm.details)
        with pytest.raises(ValidationFailed):
            await anext(feed.follow(OWNER, "../m1", after=0, partials=True))
        service = Reading(feed, SERVICE)
        await service.until(lambda items: items)
        assert stand.listeners == 2
        for each in (owner, service):
            await each.close()


async def test_a_deleted_meeting_ends_for_its_listeners_and_is_absent_for_new_ones(
    stand: Stand,
) -> None:
    claim = await stand.heard()
    await stand.commit(claim, "one")
    async with stand.feed() as feed:
        listener = Reading(feed)
        await listener.until_event(1)
        await PostgresDeletions(stand.database).request("m1", "alice")
        # The feed itself has not looked yet, and must not show what it remembers.
        with pytest.raises(NotFound):
            await anext(feed.follow(OWNER, "m1", after=0, partials=True))
        with pytest.raises(MeetingGone):
            await listener.until_event(2)
        assert stand.broadcast.listened_to == set()


async def test_a_listener_stays_when_the_texts_are_deleted(stand: Stand) -> None:
    claim = await stand.heard()
    await stand.commit(claim, "one", "two")
    async with stand.database.transaction() as connection:
        await connection.execute("DELETE FROM segments")
        await connection.execute("DELETE FROM events")
    assert await stand.archive.events("m1", 0, 10) == []
    async with stand.feed() as feed:
        listener = Reading(feed, after=0)
        await listener.until(lambda items: items)
        await stand.commit(claim, "three")
        await listener.until_event(3)
        assert listener.events == [3]
        await listener.close()


async def test_more_listeners_than_allowed_are_asked_to_come_later(stand: Stand) -> None:
    await stand.heard()
    async with stand.feed(max_listeners=2) as feed:
        listeners = [Reading(feed), Reading(feed)]
        for each in listeners:
            await each.until(lambda items: items)
        with pytest.raises(Backpressure):
            await anext(feed.follow(OWNER, "m1", after=0, partials=True))
        await listeners[0].close()
        late = Reading(feed)
        await late.until(lambda items: items)
        for each in (late, listeners[1]):
            await each.close()


async def test_the_speaker_of_a_track_that_comes_later_is_named(stand: Stand) -> None:
    first = await stand.heard("left")
    async with stand.feed() as feed:
        listener = Reading(feed)
        await stand.commit(first, "one")
        await listener.until_event(1)
        second = await stand.heard("right")
        await stand.commit(second, "two")
        await listener.until_event(2)
        assert [each.segment.speaker for each in listener.updates] == ["left", "right"]
        await listener.close()
