"""What captions write: segments that grow under one name, events without a gap, behind a fence."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from interview_agent.adapters.postgres import (
    Database,
    PostgresErasureRecords,
    schedule,
)
from interview_agent.domain.errors import LeaseLost
from interview_agent.domain.route import Stage
from interview_agent.pipeline.erasure.batches import forget_rows
from interview_agent.ports.erasure import TEXT
from interview_agent.ports.live_records import GrowingSegment
from interview_agent.ports.transcriber import TrackProgress
from live_records_bench import LiveBench, commit, draft

if TYPE_CHECKING:
    from collections.abc import Sequence

    from interview_agent.domain.transcript import Segment
    from interview_agent.ports.work import Claim


@pytest.fixture
def bench(database: Database) -> LiveBench:
    return LiveBench(database)


def seen(segments: Sequence[Segment]) -> list[tuple[str, str, int, bool]]:
    return [(each.segment_id, each.raw_text, each.revision, each.is_final) for each in segments]


async def test_the_name_of_a_segment_is_known_before_it_stands_and_stays_until_it_is_final(
    bench: LiveBench,
) -> None:
    claim, growing = await bench.opened()
    assert growing.revision == 0
    assert await bench.segments() == []
    name = growing.segment_id
    for revision, text in enumerate(("one", "one two", "one two three"), 1):
        growing = await bench.live.commit(claim, growing, commit(draft(text), grows=True))
        assert growing == GrowingSegment(name, revision)
        assert seen(await bench.segments()) == [(name, text, revision, False)]
    growing = await bench.live.commit(claim, growing, commit(draft("one two three.")))
    assert growing.segment_id != name
    assert growing.revision == 0
    assert seen(await bench.segments()) == [(name, "one two three.", 4, True)]


async def test_one_commit_may_complete_a_segment_and_begin_the_next(bench: LiveBench) -> None:
    claim, first = await bench.opened()
    growing = await bench.live.commit(claim, first, commit(draft("a"), grows=True))
    growing = await bench.live.commit(
        claim, growing, commit(draft("a."), draft("b.", 1), draft("c", 2), grows=True)
    )
    assert [each[1:] for each in seen(await bench.segments())] == [
        ("a.", 2, True),
        ("b.", 1, True),
        ("c", 1, False),
    ]
    assert (await bench.segments())[0].segment_id == first.segment_id
    assert growing == GrowingSegment((await bench.segments())[2].segment_id, 1)


async def test_a_worker_that_takes_over_goes_on_with_the_segment_that_grows(
    bench: LiveBench,
) -> None:
    claim, growing = await bench.opened()
    growing = await bench.live.commit(claim, growing, commit(draft("half"), grows=True, at=[7]))
    await bench.work.hand_back(claim)
    heir = await bench.claim()
    record = await bench.live.open(heir)
    assert record.growing == growing
    assert record.checkpoint == {"at": [7]}
    await bench.live.commit(heir, record.growing, commit(draft("half more.")))
    assert [each[1:] for each in seen(await bench.segments())] == [("half more.", 2, True)]


async def test_opening_twice_takes_one_name(bench: LiveBench) -> None:
    claim, growing = await bench.opened()
    assert (await bench.live.open(claim)).growing == growing


async def test_a_commit_without_segments_keeps_the_place_alone(bench: LiveBench) -> None:
    claim, growing = await bench.opened()
    assert await bench.live.commit(claim, growing, commit(at=3)) == growing
    assert (await bench.live.open(claim)).checkpoint == {"at": 3}
    assert (await bench.archive.meeting("m1")).meeting.event == 0
    assert "enhancer" not in await bench.due()


async def test_whoever_lost_the_track_writes_nothing_and_learns_it_from_the_next_look(
    bench: LiveBench,
) -> None:
    await bench.send(0)
    loser = await bench.claim(lease_s=0.0)
    growing = (await bench.live.open(loser)).growing
    heir = await bench.claim()
    growing = await bench.live.commit(heir, growing, commit(draft("heard by the heir"), at="heir"))
    for write in (
        bench.live.commit(loser, growing, commit(draft("late"), at="loser")),
        bench.live.open(loser),
        bench.live.news(loser, -1, 10),
    ):
        with pytest.raises(LeaseLost):
            await write
    assert [each.raw_text for each in await bench.segments()] == ["heard by the heir"]
    assert (await bench.live.open(heir)).checkpoint == {"at": "heir"}


async def test_progress_ends_a_row_of_failed_tries(bench: LiveBench) -> None:
    await bench.send(0)
    for _ in range(3):
        await bench.work.retry_later(await bench.claim(), 0.0, "x")
    claim = await bench.claim()
    assert claim.attempts == 4
    growing = (await bench.live.open(claim)).growing
    await bench.live.commit(claim, growing, commit(draft("progress")))
    await bench.work.retry_later(claim, 0.0, "x")
    assert (await bench.claim()).attempts == 1


async def test_news_are_the_chunks_after_the_last_one_and_whether_the_meeting_is_closed(
    bench: LiveBench,
) -> None:
    claim, _ = await bench.opened()
    await bench.send(1, 2, 4)
    news = await bench.live.news(claim, 0, 2)
    assert [each.seq for each in news.chunks] == [1, 2]
    assert (news.closed, news.wanted) == (False, 4)
    assert [each.seq for each in (await bench.live.news(claim, 2, 9)).chunks] == [4]
    await bench.intake.finish("m1", {})
    news = await bench.live.news(claim, 4, 9)
    assert (list(news.chunks), news.closed, news.wanted) == ([], True, 5)
    await bench.send(5)
    assert not (await bench.live.news(claim, 4, 9)).closed


async def test_two_tracks_at_once_number_their_events_without_a_gap(bench: LiveBench) -> None:
    opened = [await bench.opened(track) for track in ("left", "right")]

    async def speak(claim: Claim, growing: GrowingSegment) -> None:
        for number in range(20):
            grows = bool(number % 4)
            said = commit(draft(f"{claim.track}-{number}", number), grows=grows)
            growing = await bench.live.commit(claim, growing, said)

    async with asyncio.TaskGroup() as group:
        for claim, growing in opened:
            group.create_task(speak(claim, growing))
    events = await bench.archive.events("m1", 0, 1000)
    assert [each.event for each in events] == list(range(1, 41))
    for track in ("left", "right"):
        texts = [each.segment.raw_text for each in events if each.segment and each.track == track]
        assert texts == [f"{track}-{number}" for number in range(20)]
    assert len({each.segment_id for each in await bench.segments()}) == len(await bench.segments())


async def test_the_enhancer_gets_what_is_final_and_nothing_that_grows(bench: LiveBench) -> None:
    claim, growing = await bench.opened()
    growing = await bench.live.commit(claim, growing, commit(draft("grows"), grows=True))
    assert "enhancer" not in await bench.due()
    growing = await bench.live.commit(
        claim, growing, commit(draft("done."), draft("grows", 1), grows=True)
    )
    assert "enhancer" in await bench.due()
    enhancer = await bench.claim(Stage.ENHANCER)
    plain = await bench.records.unenhanced(enhancer, 10)
    assert [each.segment.raw_text for each in plain] == ["done."]
    assert plain[0].next_raw_text == ""


async def test_a_segment_that_became_final_makes_the_one_before_due_again(bench: LiveBench) -> None:
    """How it reads depends on its neighbour."""
    claim, growing = await bench.opened()
    growing = await bench.live.commit(claim, growing, commit(draft("one.")))
    await bench.rows("UPDATE segments SET enhanced_revision = revision")
    await bench.live.commit(claim, growing, commit(draft("two.", 1)))
    enhancer = await bench.claim(Stage.ENHANCER)
    plain = await bench.records.unenhanced(enhancer, 10)
    assert [each.segment.raw_text for each in plain] == ["one.", "two."]


async def test_captions_of_a_closed_meeting_lead_to_the_hearing_of_the_whole(
    bench: LiveBench,
) -> None:
    claim, growing = await bench.opened()
    await bench.live.commit(claim, growing, commit(draft("one.")))
    assert await bench.work.complete(claim) == ()
    await bench.intake.finish("m1", {})
    flush = await bench.claim()
    assert await bench.work.complete(flush) == (Stage.STT,)


async def test_late_audio_opens_the_meeting_and_the_captions_go_on(bench: LiveBench) -> None:
    claim, growing = await bench.opened()
    await bench.live.commit(claim, growing, commit(draft("one."), at=1))
    await bench.intake.finish("m1", {})
    await bench.work.complete(claim)
    await bench.work.complete(await bench.claim())
    batch = await bench.claim(Stage.STT)
    await bench.records.commit_progress(
        batch, TrackProgress(0, (draft("One!"),), {}, 0, 1.0, until_s=1.0)
    )
    await bench.work.complete(batch)
    await bench.send(1)
    heir = await bench.claim()
    record = await bench.live.open(heir)
    assert record.checkpoint == {"at": 1}
    await bench.live.commit(heir, record.growing, commit(draft("two", 1), grows=True))
    assert [each[1:] for each in seen(await bench.segments())] == [
        ("One!", 2, True),
        ("two", 1, False),
    ]


async def test_a_segment_that_the_whole_hearing_wrote_anew_does_not_grow_on(
    bench: LiveBench,
) -> None:
    claim, growing = await bench.opened()
    await bench.live.commit(claim, growing, commit(draft("half a"), grows=True))
    batch = await bench.want_batch()
    await bench.records.commit_progress(
        batch, TrackProgress(0, (draft("Half a word."),), {}, 0, 1.0, until_s=1.0)
    )
    record = await bench.live.open(claim)
    assert record.growing.segment_id != growing.segment_id
    await bench.live.commit(claim, record.growing, commit(draft("next", 1.0)))
    assert [each.raw_text for each in await bench.segments()] == ["Half a word.", "next"]


async def test_a_growing_segment_that_was_taken_back_stands_again_with_its_next_words(
    bench: LiveBench,
) -> None:
    """The whole hearing may end just behind the first word of late audio."""
    claim, growing = await bench.opened()
    growing = await bench.live.commit(claim, growing, commit(draft("new", 0.9), grows=True))
    batch = await bench.want_batch()
    await bench.records.commit_progress(batch, TrackProgress(0, (), {}, 0, 1.0, until_s=1.0))
    assert await bench.segments() == []
    await bench.live.commit(claim, growing, commit(draft("new words", 0.9), grows=True))
    assert seen(await bench.segments()) == [(growing.segment_id, "new words", 3, False)]
    kinds = await bench.rows("SELECT kind FROM events ORDER BY event")
    assert [row["kind"] for row in kinds] == ["update", "retract", "update"]


async def test_retention_forgets_where_captions_stood(bench: LiveBench) -> None:
    claim, growing = await bench.opened()
    await bench.live.commit(claim, growing, commit(draft("secret."), at="secret"))
    await bench.rows("UPDATE meetings SET last_audio_at = now() - interval '100 days'")
    async with bench.database.transaction() as connection:
        await schedule.want(connection, Stage.RETENTION, [("m1", "", None)])
    claim, records = await bench.claim(Stage.RETENTION), PostgresErasureRecords(bench.database)
    deletion = await records.expired_text(claim, 90)
    assert deletion is not None
    await forget_rows(records, claim, deletion, TEXT, lambda: None)
    (row,) = await bench.rows("SELECT live_checkpoint FROM tracks")
    assert row["live_checkpoint"] is None
    assert await bench.segments() == []


async def test_a_worker_reports_its_capacity_under_its_name(bench: LiveBench) -> None:
    for capacity, streams in ((4.0, 1), (3.5, 2)):
        await bench.live.report_capacity("w1", capacity, streams)
    await bench.live.report_capacity("w2", 1.0, 0)
    await bench.rows("UPDATE live_workers SET seen_at = now() - interval '2 hours'")
    await bench.live.report_capacity("w1", 5.0, 3)
    rows = await bench.rows("SELECT worker, capacity, streams FROM live_workers")
    assert [tuple(row) for row in rows] == [("w1", 5.0, 3)]
