"""Work that was given up on, listed, redriven and discarded, on a real database."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from interview_agent.domain.errors import Conflict, NotFound
from interview_agent.domain.meeting import ChunkState, StageState
from interview_agent.domain.route import Stage
from interview_agent.ports.operations import GivenUp, Handled, WorkPlace
from work_bench import chunk, progress

if TYPE_CHECKING:
    from operations_room import Room

SPEECH = WorkPlace(Stage.STT, "m1", "main")
REPORT = WorkPlace(Stage.ANALYTICS, "m1", "")


async def test_failed_work_and_failed_chunks_are_listed_newest_first(room: Room) -> None:
    await room.fail_chunk()
    await room.intake.finish("m1", {})
    await room.work.complete(await room.claim(Stage.STT))
    await room.work.give_up(await room.claim(Stage.ENHANCER), "internal: y")
    work, failed = await room.given_up()
    assert (work.place, work.seq) == (WorkPlace(Stage.ENHANCER, "m1", ""), None)
    assert (work.reason, work.attempts) == ("internal: y", 1)
    assert (failed.place, failed.seq, failed.attempts) == (SPEECH, 0, None)
    assert failed.reason == "stt_provider_error: x"
    assert failed.failed_at < work.failed_at
    assert (await room.depth(Stage.STT), await room.depth(Stage.ENHANCER)) == (1, 1)
    reasons = {each.stage: each.reasons for each in await room.work.depths() if each.failed}
    assert reasons == {Stage.STT: {"stt_provider_error": 1}, Stage.ENHANCER: {"internal": 1}}


async def test_pages_hold_each_item_once_even_where_all_failed_at_once(room: Room) -> None:
    for track in "abcde":
        await room.intake.accept(chunk(0, track=track))
        await room.intake.accept(chunk(1, track=track))
    await room.run("UPDATE chunks SET state = 'failed', reason = 'x', failed_at = now()")
    await room.run("UPDATE stage_work SET failed = true, updated_at = now()")
    whole = await room.given_up()
    seen: list[GivenUp] = []
    while page := await room.rows.given_up(4, seen[-1] if seen else None):
        seen += page
    assert seen == list(whole)
    assert len({(each.place, each.seq) for each in seen}) == 15


async def test_a_redriven_chunk_is_pending_and_its_track_due(room: Room) -> None:
    await room.fail_chunk()
    assert await room.rows.is_given_up(SPEECH)
    assert await room.rows.redrive(SPEECH) == Handled(stage=False, chunks=1)
    assert [each.state for each in await room.archive.chunks("m1")] == [ChunkState.PENDING]
    assert (await room.claim(Stage.STT)).attempts == 1
    assert await room.given_up() == []
    assert not await room.rows.is_given_up(SPEECH)


async def test_what_a_report_was_made_without_leads_to_the_next_version(room: Room) -> None:
    await room.fail_chunk()
    assert await room.report() == 1
    await room.rows.redrive(SPEECH)
    claim = await room.claim(Stage.STT)
    await room.records.commit_progress(claim, progress("heard after all"))
    await room.work.complete(claim)
    await room.work.complete(await room.claim(Stage.ENHANCER))
    assert await room.analyse() == 2


async def test_redriven_work_is_due_at_once_with_no_attempt_counted(room: Room) -> None:
    await room.fail_report()
    await room.run("UPDATE stage_work SET attempts = 5 WHERE stage = 'analytics'")
    assert await room.rows.redrive(REPORT) == Handled(stage=True, chunks=0)
    report = await room.stage(Stage.ANALYTICS)
    assert (report.view.state, report.view.attempts) == (StageState.WAITING, 0)
    assert report.view.reason is None
    assert await room.analyse() == 1


async def test_only_what_was_given_up_on_is_redriven_or_discarded(room: Room) -> None:
    await room.fail_report()
    for place in (SPEECH, WorkPlace(Stage.ANALYTICS, "m2", ""), WorkPlace(Stage.STT, "m1", "b")):
        assert not await room.rows.is_given_up(place)
        for act in (room.rows.redrive, room.rows.discard):
            with pytest.raises(NotFound):
                await act(place)
    assert (await room.stage(Stage.STT)).view.state is StageState.DONE


async def test_two_redrives_at_once_take_effect_once(room: Room) -> None:
    await room.fail_chunk()
    acts = [room.rows.redrive(SPEECH) for _ in range(4)]
    outcomes = await asyncio.gather(*acts, return_exceptions=True)
    assert sorted(isinstance(each, NotFound) for each in outcomes) == [False, True, True, True]


async def test_what_was_discarded_stays_failed_and_is_listed_no_more(room: Room) -> None:
    await room.fail_chunk()
    await room.intake.finish("m1", {})
    await room.work.give_up(await room.claim(Stage.STT), "internal: x")
    assert await room.rows.discard(SPEECH) == Handled(stage=True, chunks=1)
    assert await room.given_up() == []
    assert await room.depth(Stage.STT) == 0
    assert [each.state for each in await room.archive.chunks("m1")] == [ChunkState.FAILED]
    assert (await room.stage(Stage.STT)).view.state is StageState.FAILED
    with pytest.raises(NotFound):
        await room.rows.redrive(SPEECH)


async def test_what_fails_again_after_it_was_discarded_is_listed_again(room: Room) -> None:
    await room.fail_report()
    await room.rows.discard(REPORT)
    await room.intake.accept(chunk(1))
    await room.intake.finish("m1", {})
    for stage in (Stage.STT, Stage.ENHANCER):
        await room.work.complete(await room.claim(stage))
    await room.work.give_up(await room.claim(Stage.ANALYTICS), "internal: again")
    assert [each.reason for each in await room.given_up()] == ["internal: again"]


async def test_nothing_of_a_deleted_meeting_is_listed_or_brought_back(room: Room) -> None:
    await room.fail_chunk()
    await room.run("UPDATE meetings SET deleted_at = now()")
    assert await room.given_up() == []
    assert not await room.rows.is_given_up(SPEECH)
    for act in (room.rows.redrive, room.rows.discard):
        with pytest.raises(NotFound):
            await act(SPEECH)
    with pytest.raises(NotFound):
        await room.rows.stages("m1")
    assert await room.work.claim(Stage.STT, "x", 8.0) is None


async def test_a_chunk_whose_audio_is_gone_can_not_be_tried_again(room: Room) -> None:
    await room.fail_chunk()
    await room.run("UPDATE chunks SET blob_key = NULL")
    assert await room.given_up() == []
    with pytest.raises(NotFound):
        await room.rows.redrive(SPEECH)


async def test_a_live_track_is_not_heard_as_a_recording_before_its_meeting_is_closed(
    room: Room,
) -> None:
    await room.fail_chunk()
    await room.run("UPDATE tracks SET live = true")
    with pytest.raises(Conflict):
        await room.rows.redrive(SPEECH)
    assert [each.state for each in await room.archive.chunks("m1")] == [ChunkState.FAILED]
    await room.run("UPDATE meetings SET closed_version = audio_version")
    assert (await room.rows.redrive(SPEECH)).chunks == 1


async def test_stages_say_who_works_and_since_when(room: Room) -> None:
    await room.intake.accept(chunk())
    await room.claim(Stage.STT)
    await room.run("UPDATE stage_work SET leased_at = now() - interval '5 s'")
    report = await room.stage(Stage.STT)
    assert (report.view.state, report.lease_owner) == (StageState.RUNNING, "bench")
    assert report.lease_age_s is not None
    assert 5 <= report.lease_age_s < 60
    assert (report.wanted, report.reached) == (1, 0)
