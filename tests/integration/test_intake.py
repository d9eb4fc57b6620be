"""What the front door writes, on a real database."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from interview_agent.adapters.postgres import (
    Database,
    PostgresArchive,
    PostgresIntake,
    PostgresWorkStore,
)
from interview_agent.adapters.postgres.schedule import close_complete
from interview_agent.domain.errors import (
    Conflict,
    ConsentDenied,
    DatabaseError,
    NotFound,
    ValidationFailed,
)
from interview_agent.domain.meeting import Consent, Gap, Mode, gaps_by_track
from interview_agent.ports.intake import NewMeeting
from work_bench import chunk


async def test_starting_twice_returns_the_first_meeting_as_it_is(database: Database) -> None:
    intake = PostgresIntake(database)
    first = await intake.start(NewMeeting("m1", "subject:a", language="en", context={"a": [1]}))
    again = await intake.start(NewMeeting("m1", "subject:a", mode=Mode.POSTMEETING))
    assert again == first
    assert again.context == {"a": [1]}


async def test_a_taken_id_is_a_conflict_for_everybody_else(database: Database) -> None:
    intake = PostgresIntake(database)
    await intake.start(NewMeeting("m1", "subject:a"))
    with pytest.raises(Conflict):
        await intake.start(NewMeeting("m1", "subject:b"))
    with pytest.raises(Conflict):
        await intake.admit(chunk(owner="subject:b"))
    with pytest.raises(Conflict):
        await intake.accept(chunk(owner="subject:b"))


async def test_a_chunk_opens_its_meeting_and_fifty_repeats_add_nothing(database: Database) -> None:
    intake = PostgresIntake(database)
    receipts = await asyncio.gather(*(intake.accept(chunk()) for _ in range(50)))
    assert sorted(receipt.duplicate for receipt in receipts) == [False] + [True] * 49
    assert len({receipt.blob_key for receipt in receipts}) == 1
    stored = await PostgresArchive(database).chunks("m1")
    assert [each.seq for each in stored] == [0]
    assert (await PostgresArchive(database).meeting("m1")).meeting.audio_version == 1


async def test_other_bytes_or_another_number_under_a_key_are_conflicts(database: Database) -> None:
    intake = PostgresIntake(database)
    await intake.accept(chunk(0))
    other = chunk(0, b"other", idempotency_key="fresh")
    moved = chunk(1, idempotency_key="key-0")
    for refused in (other, moved):
        with pytest.raises(Conflict):
            await intake.admit(refused)
        with pytest.raises(Conflict):
            await intake.accept(refused)
    assert [each.seq for each in await PostgresArchive(database).chunks("m1")] == [0]


async def test_one_bad_chunk_does_not_spoil_the_commit_that_it_shares(database: Database) -> None:
    intake = PostgresIntake(database)
    await intake.accept(chunk(0))
    verdicts = await asyncio.gather(
        *(intake.accept(chunk(seq)) for seq in (1, 2)),
        intake.accept(chunk(0, b"other", idempotency_key="x")),
        intake.accept(chunk(3)),
        return_exceptions=True,
    )
    assert [isinstance(verdict, Conflict) for verdict in verdicts] == [False, False, True, False]
    assert len(await PostgresArchive(database).chunks("m1")) == 4


async def test_a_denied_meeting_takes_no_audio(database: Database) -> None:
    intake = PostgresIntake(database)
    await intake.start(NewMeeting("m1", "subject:a", consent=Consent.DENIED))
    for refuse in (intake.admit, intake.accept, intake.admit_meeting):
        with pytest.raises(ConsentDenied):
            await refuse(chunk())
    assert await PostgresArchive(database).chunks("m1") == []


async def test_a_split_chunk_becomes_a_row_for_each_channel(database: Database) -> None:
    intake = PostgresIntake(database)
    split = chunk(channels=2, channel_tracks=("left", "right"))
    assert not (await intake.accept(split)).duplicate
    assert (await intake.accept(split)).duplicate
    rows = await PostgresArchive(database).chunks("m1")
    assert [(row.track, row.channel) for row in rows] == [("left", 0), ("right", 1)]
    assert rows[0].blob_key == rows[1].blob_key


async def test_a_live_track_that_begins_later_lies_later_in_the_meeting(
    database: Database,
) -> None:
    """An upload says nothing of when it was recorded, and begins with the meeting."""
    intake = PostgresIntake(database)
    second = bytes(32_000)
    await intake.accept(chunk(0, second, track="first", live=True))
    async with database.connection() as connection:
        await connection.execute("UPDATE meetings SET origin_at = origin_at - interval '60 s'")
    await intake.accept(chunk(1, second, track="first", live=True))
    for name, live in (("joined", True), ("upload", False)):
        await intake.accept(chunk(0, second, track=name, live=live, idempotency_key=name))
    split = chunk(0, bytes(64_000), track="pair", channels=2, live=True, idempotency_key="pair")
    await intake.accept(replace(split, channel_tracks=("pair-0", "pair-1")))
    tracks = (await PostgresArchive(database).meeting("m1")).tracks
    offsets_s = {each.track: each.offset_s for each in tracks}
    assert offsets_s["first"] == offsets_s["upload"] == 0
    assert 60 <= offsets_s["joined"] <= offsets_s["pair-0"] == offsets_s["pair-1"] < 90


async def test_finish_closes_at_once_or_when_the_promised_chunks_are_there(
    database: Database,
) -> None:
    intake = PostgresIntake(database)
    await intake.accept(chunk(0))
    waiting = await intake.finish("m1", {"main": 2})
    assert waiting.finish_requested
    assert not waiting.closed
    await intake.accept(chunk(1))
    assert not (await PostgresArchive(database).meeting("m1")).meeting.closed
    await intake.accept(chunk(2))
    assert (await PostgresArchive(database).meeting("m1")).meeting.closed
    await intake.accept(chunk(3))
    assert not (await PostgresArchive(database).meeting("m1")).meeting.closed
    with pytest.raises(NotFound):
        await intake.finish("absent", {})


@pytest.mark.parametrize("promised", [{"main": 1}, {"left": 1, "right": 1}, {"main": 1, "left": 0}])
async def test_a_promise_for_split_channels_may_name_the_track_as_sent_or_as_heard(
    database: Database, promised: dict[str, int]
) -> None:
    intake = PostgresIntake(database)
    split = {"channels": 2, "channel_tracks": ("left", "right")}
    await intake.accept(chunk(0, **split))
    assert not (await intake.finish("m1", promised)).closed
    await intake.accept(chunk(1, **split))
    meeting = (await PostgresArchive(database).meeting("m1")).meeting
    assert meeting.closed
    stored = await PostgresArchive(database).chunks("m1")
    assert {each.upload_track for each in stored} == {"main"}
    assert gaps_by_track(meeting.expected_last_seq, [each.run for each in stored]) == {
        "left": [],
        "right": [],
    }


@pytest.mark.parametrize(
    ("promised", "closed"),
    [
        ({"main": 0}, True),
        ({"main": 1}, True),
        ({"left": 0, "main": 1}, True),
        ({"left": 1}, False),
        ({"right": 0, "main": 2}, False),
    ],
)
async def test_a_track_sent_as_stereo_and_then_as_mono_is_counted_under_all_its_names(
    database: Database, promised: dict[str, int], closed: bool
) -> None:
    intake = PostgresIntake(database)
    await intake.accept(chunk(0, channels=2, channel_tracks=("left", "right")))
    await intake.accept(chunk(1))
    assert (await intake.finish("m1", promised)).closed is closed


async def test_an_early_finish_makes_no_commit_look_at_every_chunk(database: Database) -> None:
    """Promised is more than came, so that no number has to be counted."""
    intake = PostgresIntake(database)
    await intake.accept(chunk(0))
    async with database.connection() as connection:
        await connection.execute(
            "INSERT INTO chunks (meeting_id, track, seq, upload_track, sha256, size_bytes, codec,"
            " sample_rate, channels, idempotency_key) SELECT 'm1', 'main', seq, 'main', 'x', 1,"
            " 'pcm', 16000, 1, 'k' || seq FROM generate_series(1, 3000) AS seq"
        )
        await connection.execute("ANALYZE chunks")
    assert not (await intake.finish("m1", {"main": 5000})).closed
    async with database.transaction() as connection:
        await close_complete(connection, ["m1"], promised_only=True)
        looked_at = await connection.fetchval(
            "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables"
            " WHERE relname = 'chunks'"
        )
    assert looked_at < 10
    assert (await intake.finish("m1", {"main": 3000})).closed is True


async def test_a_promise_that_nothing_came_of_is_closed_by_silence_with_its_gap(
    database: Database,
) -> None:
    intake = PostgresIntake(database)
    await intake.accept(chunk(0))
    assert not (await intake.finish("m1", {"main": 0, "second": 1})).closed
    assert await PostgresWorkStore(database).close_quiet(0.0) == 1
    meeting = (await PostgresArchive(database).meeting("m1")).meeting
    assert meeting.closed
    runs = await PostgresArchive(database).runs("m1")
    assert gaps_by_track(meeting.expected_last_seq, runs)["second"] == [Gap("second", 0, 1)]


async def test_text_that_the_database_cannot_store_is_the_callers_fault(
    database: Database,
) -> None:
    with pytest.raises(ValidationFailed):
        await PostgresIntake(database).start(
            NewMeeting("m1", "subject:a", context={"nul": "a\u0000b"})
        )


async def test_a_chunk_that_cannot_be_stored_does_not_take_its_neighbours_down(
    database: Database,
) -> None:
    intake = PostgresIntake(database)
    unstorable = chunk(1, idempotency_key="\0")
    answers = await asyncio.gather(
        *(intake.accept(each) for each in (chunk(0), unstorable, chunk(2))), return_exceptions=True
    )
    assert [type(each).__name__ for each in answers] == ["Receipt", "ValidationFailed", "Receipt"]
    assert [each.seq for each in await PostgresArchive(database).chunks("m1")] == [0, 2]


async def test_a_sender_is_not_kept_waiting_and_what_was_refused_is_not_stored_later(
    database: Database,
) -> None:
    await PostgresIntake(database).accept(chunk(0))
    impatient = PostgresIntake(database, patience_s=0.2)
    async with database.transaction() as connection:
        await connection.execute("SELECT 1 FROM meetings FOR UPDATE")
        committing = asyncio.create_task(impatient.accept(chunk(1)))
        await asyncio.sleep(0.05)
        with pytest.raises(DatabaseError):
            await impatient.accept(chunk(2))
        with pytest.raises(DatabaseError):
            await committing
    assert (await impatient.accept(chunk(3))).duplicate is False
    stored = {each.seq for each in await PostgresArchive(database).chunks("m1")}
    assert stored >= {0, 3}
    assert 2 not in stored
