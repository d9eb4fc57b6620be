"""Leases, fences and the road from stage to stage, on a real database."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from interview_agent.adapters.postgres import Database, PostgresDeletions, PostgresWorkStore
from interview_agent.domain.errors import LeaseLost
from interview_agent.domain.meeting import ChunkState, StageState
from interview_agent.domain.route import Stage
from interview_agent.pipeline.stt import SpeechStage
from interview_agent.ports.intake import NewMeeting
from interview_agent.ports.stage_records import EnhancedText
from interview_agent.ports.transcriber import FailedPart, TrackProgress, Transcriber
from local_broadcast import LocalBroadcast
from long_meeting import CHUNKS_A_TRACK, longest_stall_s, make_long
from work_bench import Bench, chunk, progress

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from interview_agent.ports.transcriber import TrackInput
    from machine_pace import Pace


@dataclass(frozen=True)
class _PoolOfOne:
    """Lends a connection that is in a transaction, whose reads the database counts apart."""

    connection: Any

    async def acquire(self) -> Any:
        return self.connection

    async def release(self, connection: Any) -> None:
        assert connection is self.connection


async def test_one_piece_of_work_is_claimed_once(bench: Bench) -> None:
    await bench.intake.accept(chunk())
    claims = await asyncio.gather(*(bench.work.claim(Stage.STT, "x", 8.0) for _ in range(8)))
    assert len([claim for claim in claims if claim]) == 1


async def test_one_claim_takes_one_piece_of_many(bench: Bench) -> None:
    for number in range(5):
        await bench.intake.accept(chunk(0, track=f"t{number}"))
    taken = {(await bench.claim(Stage.STT)).track for _ in range(5)}
    assert len(taken) == 5


async def test_an_expired_lease_is_taken_over_and_its_holder_fenced_off(bench: Bench) -> None:
    await bench.intake.accept(chunk())
    slow = await bench.claim(Stage.STT, lease_s=0.0)
    heir = await bench.claim(Stage.STT)
    assert heir.epoch == slow.epoch + 1
    assert heir.attempts == 2
    assert (slow.taken_over, heir.taken_over) == (False, True)
    for write in (
        bench.records.commit_progress(slow, progress("late")),
        bench.work.complete(slow),
        bench.work.renew(slow, 8.0),
        bench.work.retry_later(slow, 1.0, "x"),
        bench.work.hand_back(slow),
        bench.work.put_off(slow, 1.0, "x"),
        bench.work.give_up(slow, "x"),
    ):
        with pytest.raises(LeaseLost):
            await write
    await bench.records.commit_progress(heir, progress("in time"))
    assert [each.raw_text for each in await bench.archive.segments("m1")] == ["in time"]


async def test_what_is_wanted_while_work_runs_stays_due(bench: Bench) -> None:
    await bench.intake.accept(chunk(0))
    first = await bench.claim(Stage.STT)
    await bench.intake.accept(chunk(1))
    assert await bench.work.claim(Stage.STT, "x", 8.0) is None
    await bench.work.complete(first)
    second = await bench.claim(Stage.STT)
    await bench.work.complete(second)
    assert await bench.work.claim(Stage.STT, "x", 8.0) is None


async def test_a_back_off_is_not_shortened_by_more_audio(bench: Bench) -> None:
    await bench.intake.accept(chunk(0))
    claim = await bench.claim(Stage.STT)
    await bench.work.retry_later(claim, 60.0, "stt_provider_error: x")
    await bench.intake.accept(chunk(1))
    assert await bench.work.claim(Stage.STT, "x", 8.0) is None


async def test_handing_back_does_not_count_as_an_attempt(bench: Bench) -> None:
    await bench.intake.accept(chunk(0))
    for _ in range(9):
        await bench.work.hand_back(await bench.claim(Stage.STT))
    assert (await bench.claim(Stage.STT)).attempts == 1


async def test_work_put_off_counts_no_attempt_and_grows_older_all_the_while(bench: Bench) -> None:
    await bench.intake.accept(chunk(0))
    for _ in range(9):
        await bench.work.put_off(await bench.claim(Stage.STT), 0.0, "backpressure")
    claim = await bench.claim(Stage.STT)
    assert claim.attempts == 1
    async with bench.database.connection() as connection:
        await connection.execute(
            "UPDATE stage_work SET put_off_since = put_off_since - interval '10 minutes'"
        )
    await bench.work.put_off(claim, 60.0, "backpressure")
    await bench.intake.accept(chunk(1))
    assert await bench.work.claim(Stage.STT, "x", 8.0) is None, "more audio does not shorten it"
    depth = (await bench.work.depths())[list(Stage).index(Stage.STT)]
    assert (depth.waiting, depth.running, depth.failed) == (1, 0, 0)
    assert 600 <= depth.oldest_age_s < 660
    (view,) = [each for each in (await bench.archive.meeting("m1")).stages if each.track]
    assert (view.state, view.reason) == (StageState.WAITING, "backpressure")


async def test_a_meeting_goes_through_every_stage_once(bench: Bench) -> None:
    await bench.intake.accept(chunk(0))
    await bench.intake.accept(chunk(0, track="other", idempotency_key="o"))
    await bench.intake.finish("m1", {})
    first = await bench.claim(Stage.STT)
    await bench.records.commit_progress(first, progress("one", "two"))
    assert await bench.work.complete(first) == (Stage.ENHANCER,)
    enhancer = await bench.claim(Stage.ENHANCER)
    waiting = await bench.records.unenhanced(enhancer, 10)
    await bench.records.commit_enhanced(
        enhancer,
        [
            EnhancedText(each.segment.segment_id, 1, each.segment.raw_text + ".", ())
            for each in waiting
        ],
    )
    assert await bench.work.complete(enhancer) == (), "the other track is not heard yet"
    second = await bench.claim(Stage.STT)
    assert second.track != first.track
    assert await bench.work.complete(second) == (Stage.ENHANCER,)
    assert await bench.work.complete(await bench.claim(Stage.ENHANCER)) == (Stage.ANALYTICS,)
    analytics = await bench.claim(Stage.ANALYTICS)
    record = await bench.records.record(analytics)
    assert [each.text for each in record.segments] == ["one.", "two."]
    assert record.first_audio_at is not None
    assert record.first_audio_at == min(
        each.accepted_at for each in await bench.archive.chunks("m1")
    )
    assert await bench.records.commit_report(analytics, record.meeting.audio_version, {"a": 1}) == 1
    assert await bench.work.complete(analytics) == (Stage.DELIVERY,)
    delivery = await bench.claim(Stage.DELIVERY)
    await bench.records.commit_delivery(delivery, 1, "email", "skipped", "not_configured")
    assert await bench.work.complete(delivery) == (Stage.RETENTION,)
    retention = await bench.claim(Stage.RETENTION)
    assert await bench.work.complete(retention, again_in_s=60) == ()
    view = await bench.archive.meeting("m1")
    assert view.meeting.reported_version == view.meeting.audio_version == 2
    assert view.report == {"a": 1}
    assert all(depth.waiting == depth.running == 0 for depth in await bench.work.depths())


async def test_revisions_keep_ids_and_number_every_change_without_a_gap(bench: Bench) -> None:
    await bench.intake.accept(chunk(0))
    claim = await bench.claim(Stage.STT)
    await bench.records.commit_progress(claim, progress("a", "b", "c"))
    before = {each.raw_text: each.segment_id for each in await bench.archive.segments("m1")}
    assert await bench.records.commit_progress(claim, progress("a", "B")) == 2
    after = await bench.archive.segments("m1")
    assert [(each.raw_text, each.revision) for each in after] == [("a", 1), ("B", 2)]
    assert [each.segment_id for each in after] == [before["a"], before["b"]]
    async with bench.database.connection() as connection:
        events = await connection.fetch("SELECT event FROM segments ORDER BY event")
    assert [row["event"] for row in events] == [1, 4, 5]
    assert (await bench.archive.meeting("m1")).meeting.event == 5


async def test_a_new_neighbour_makes_a_segment_be_enhanced_again(bench: Bench) -> None:
    await bench.intake.accept(chunk(0))
    stt = await bench.claim(Stage.STT)
    await bench.records.commit_progress(stt, progress("a product that people"))
    (plain,) = await bench.records.unenhanced(stt, 10)
    assert (plain.previous_raw_text, plain.next_raw_text) == ("", "")
    done = EnhancedText(plain.segment.segment_id, 1, "A product that people.", ())
    await bench.records.commit_enhanced(stt, [done])
    assert await bench.records.unenhanced(stt, 10) == []
    await bench.records.commit_progress(stt, progress("use every day", keep=1))
    first, second = await bench.records.unenhanced(stt, 10)
    assert {first.next_raw_text, second.previous_raw_text} == {
        "use every day",
        "a product that people",
    }


async def test_a_text_made_in_the_light_of_old_neighbours_is_passed_over(bench: Bench) -> None:
    await bench.intake.accept(chunk(0))
    stt = await bench.claim(Stage.STT)
    await bench.records.commit_progress(stt, progress("a product that people"))
    (alone,) = await bench.records.unenhanced(stt, 10)
    await bench.records.commit_progress(stt, progress("use every day", keep=1))
    late = EnhancedText(alone.segment.segment_id, 1, "A product that people.", (), mark=alone.mark)
    assert await bench.records.commit_enhanced(stt, [late]) == 0
    first, _ = await bench.records.unenhanced(stt, 10)
    assert first.next_raw_text == "use every day"
    early = EnhancedText(first.segment.segment_id, 1, "A product that people", (), mark=first.mark)
    assert await bench.records.commit_enhanced(stt, [early]) == 1


async def test_an_enhanced_text_of_an_older_revision_is_passed_over_without_a_gap(
    bench: Bench,
) -> None:
    await bench.intake.accept(chunk(0))
    stt = await bench.claim(Stage.STT)
    await bench.records.commit_progress(stt, progress("one"))
    (segment,) = await bench.archive.segments("m1")
    await bench.records.commit_progress(stt, progress("two"))
    await bench.records.commit_enhanced(stt, [EnhancedText(segment.segment_id, 1, "One.", ())])
    (now,) = await bench.archive.segments("m1")
    assert (now.text, now.event) == ("two", 2)
    assert (await bench.archive.meeting("m1")).meeting.event == 2


async def test_chunks_become_done_or_failed_with_the_step_that_heard_them(bench: Bench) -> None:
    for seq in range(4):
        await bench.intake.accept(chunk(seq))
    claim = await bench.claim(Stage.STT)
    step = TrackProgress(0, (), {}, 2, 1.0, failed=(FailedPart(1, "undecodable"),))
    await bench.records.commit_progress(claim, step)
    states = {each.seq: (each.state, each.reason) for each in await bench.archive.chunks("m1")}
    assert states == {
        0: (ChunkState.DONE, None),
        1: (ChunkState.FAILED, "undecodable"),
        2: (ChunkState.DONE, None),
        3: (ChunkState.PENDING, None),
    }
    assert await bench.records.fail_next_chunk(claim, "crashed") == 3
    assert (await bench.archive.chunks("m1"))[3].reason == "crashed"


async def test_a_chunk_that_comes_in_before_failed_ones_gives_them_another_hearing(
    bench: Bench,
) -> None:
    """Whether it comes after the verdict or while that is found; a crash is a crash anyway."""
    late = chunk(1, track="late"), chunk(3, track="late"), chunk(4, track="late")
    for each in late:
        await bench.intake.accept(each)
    claim = await bench.claim(Stage.STT)
    verdict = (FailedPart(3, "no_stream_header"), FailedPart(4, "crashed"))
    step = TrackProgress(0, (), {}, None, 0.0, failed=verdict)

    async def states() -> dict[int, str | None]:
        return {each.seq: each.reason for each in await bench.archive.chunks("m1")}

    await bench.records.commit_progress(claim, step)
    assert await states() == {1: None, 3: "no_stream_header", 4: "crashed"}
    await bench.intake.accept(chunk(5, track="late"))
    assert (await states())[3] == "no_stream_header"
    await bench.intake.accept(chunk(2, track="late"))
    assert await states() == {1: None, 2: None, 3: None, 4: "crashed", 5: None}
    await bench.records.commit_progress(claim, step)
    assert (await states())[3] is None


async def test_work_given_up_on_is_shown_and_lives_again_with_new_audio(bench: Bench) -> None:
    await bench.intake.accept(chunk(0))
    await bench.work.give_up(await bench.claim(Stage.STT), "internal: Boom")
    stage = (await bench.archive.meeting("m1")).stages[0]
    assert (stage.state, stage.reason) == (StageState.FAILED, "internal: Boom")
    assert await bench.work.claim(Stage.STT, "x", 8.0) is None
    await bench.intake.accept(chunk(1))
    assert (await bench.claim(Stage.STT)).attempts == 1


async def test_silence_closes_a_meeting_and_later_audio_opens_it_again(bench: Bench) -> None:
    await bench.intake.accept(chunk(0))
    assert await bench.work.close_quiet(60.0) == 0
    assert await bench.work.close_quiet(0.0) == 1
    assert await bench.work.close_quiet(0.0) == 0
    assert (await bench.archive.meeting("m1")).meeting.closed
    await bench.intake.accept(chunk(1))
    assert not (await bench.archive.meeting("m1")).meeting.closed


async def test_looking_for_silence_passes_over_what_cannot_be_closed(bench: Bench) -> None:
    """Meetings that are closed, that never began, or that were deleted while open."""
    async with bench.database.connection() as connection:
        await connection.execute(
            "INSERT INTO meetings (meeting_id, owner, mode, consent, audio_version,"
            " closed_version, last_audio_at, deleted_at)"
            " SELECT 'old-' || n, 'subject:a', 'realtime', 'unknown', CASE n % 3 WHEN 0 THEN 0"
            " ELSE 1 END, CASE n % 3 WHEN 1 THEN 1 END, CASE n % 3 WHEN 0 THEN NULL ELSE now() -"
            " interval '1 day' END, CASE n % 3 WHEN 2 THEN now() END"
            " FROM generate_series(1, 3000) AS n"
        )
        await connection.execute("ANALYZE meetings")
    await bench.intake.accept(chunk(0))
    async with bench.database.transaction() as connection:
        within = PostgresWorkStore(Database(_PoolOfOne(connection)))
        assert await within.close_quiet(0.0) == 1
        looked_at = await connection.fetchval(
            "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables"
            " WHERE relname = 'meetings'"
        )
    assert looked_at < 10


async def test_a_meeting_finished_without_audio_gets_its_report(bench: Bench) -> None:
    await bench.intake.start(NewMeeting("m1", "subject:a"))
    assert await bench.work.close_quiet(0.0) == 0, "nobody has said that it is over"
    await bench.intake.finish("m1", {})
    assert await bench.work.complete(await bench.claim(Stage.ENHANCER)) == (Stage.ANALYTICS,)


async def test_a_deleted_meeting_fences_its_worker(bench: Bench) -> None:
    await bench.intake.accept(chunk(0))
    claim = await bench.claim(Stage.STT)
    await PostgresDeletions(bench.database).request("m1", "somebody")
    with pytest.raises(LeaseLost):
        await bench.records.commit_progress(claim, progress("ghost"))
    with pytest.raises(LeaseLost):
        await bench.records.track(claim)
    with pytest.raises(LeaseLost):
        await bench.work.renew(claim, 60.0)
    assert await bench.work.claim(Stage.STT, "heir", 60.0) is None


class Counting(Transcriber):
    """Counts what there is to hear, and hears nothing."""

    name = "counting"

    def __init__(self) -> None:
        self.parts = 0

    async def advance(self, track: TrackInput) -> AsyncGenerator[TrackProgress]:
        self.parts = len(track.parts)
        for nothing in ():
            yield nothing

    async def aclose(self) -> None:
        """Hold nothing."""


async def test_hearing_and_reporting_on_a_long_meeting_hold_up_nobody(
    bench: Bench, pace: Pace
) -> None:
    await bench.intake.start(NewMeeting("m1", "subject:a"))
    await make_long(bench.database)
    await bench.intake.finish("m1", {})
    transcriber = Counting()
    stage = SpeechStage(
        bench.records, transcriber, LocalBroadcast(), language=None, on_heard=lambda _: None
    )
    claim = await bench.claim(Stage.STT)
    assert await longest_stall_s(lambda: stage.run(claim, lambda: None)) < pace.slowed(0.05)
    assert transcriber.parts == CHUNKS_A_TRACK - 3
    assert await longest_stall_s(lambda: bench.records.record(claim)) < pace.slowed(0.05)
