"""Live audio on a real database and a real folder: fences, races, outages, meetings held open."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
import pytest_asyncio

from interview_agent.adapters.local_fs import LocalFsBlobStore
from interview_agent.adapters.postgres import (
    Database,
    PostgresArchive,
    PostgresDeletions,
    PostgresIntake,
    PostgresLiveSessions,
    PostgresWorkStore,
)
from interview_agent.domain.errors import AgentError, Conflict, MeetingGone, SessionTaken
from interview_agent.domain.identity import Identity, Kind
from interview_agent.domain.route import Stage
from interview_agent.domain.upload import AudioForm, Upload
from interview_agent.pipeline.ingest import Ingest
from interview_agent.pipeline.live_ingest import (
    AudioAck,
    LiveIngest,
    LiveLimits,
    LiveParts,
    LiveRequest,
    LiveTrack,
)
from interview_agent.ports.live_sessions import LiveSession, NewLiveSession
from memory_rows import NotedWakeUps
from work_bench import chunk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from interview_agent.ports.intake import NewChunk

ALICE = Identity("a", "user_api_key", Kind.USER)


class Process:
    """What one process of the service takes live audio in with."""

    def __init__(
        self, database: Database, blobs: LocalFsBlobStore, *, patience_s: float = 2.5
    ) -> None:
        self.acked: list[int] = []
        self.troubles: list[AgentError | None] = []
        self.wake = NotedWakeUps()
        ingest = Ingest(
            PostgresIntake(database, patience_s=patience_s),
            PostgresArchive(database),
            blobs,
            self.wake,  # type: ignore[arg-type]
            clock=lambda: datetime.now(UTC),
        )
        self.ingest = ingest
        self.door = LiveIngest(
            LiveParts(ingest.chunk, PostgresLiveSessions(database), LiveLimits(chunk_s=0.01))
        )

    def _note(self, ack: AudioAck) -> None:
        self.acked.extend(range(ack.first_frame, ack.frame + 1))

    async def start(self, **fields: Any) -> LiveTrack:
        request = LiveRequest(**{"meeting_id": "m1", **fields})
        return await self.door.start(ALICE, request, self._note, self.troubles.append)

    async def resume(self, track: str = "main") -> LiveTrack:
        return await self.door.resume(ALICE, "m1", track, self._note, self.troubles.append)


class Bench:
    """A database and a folder that several processes share."""

    def __init__(self, database: Database, blobs: LocalFsBlobStore) -> None:
        self.database = database
        self.blobs = blobs
        self.intake = PostgresIntake(database)
        self.sessions = PostgresLiveSessions(database)
        self.work = PostgresWorkStore(database)
        self.archive = PostgresArchive(database)

    def process(self, **options: Any) -> Process:
        return Process(self.database, self.blobs, **options)

    async def rows(self, statement: str, *values: object) -> list[Any]:
        async with self.database.connection() as connection:
            return list(await connection.fetch(statement, *values))

    async def session(self, session_id: str = "s1", **fields: Any) -> LiveSession:
        values = {"track": "main", "codec": "pcm", "sample_rate": 16_000, "channels": 1, **fields}
        return await self.sessions.open(
            NewLiveSession("m1", "subject:a", session_id=session_id, **values)
        )

    async def due(self) -> list[tuple[str, str]]:
        rows = await self.rows("SELECT stage, track FROM stage_work WHERE due_at IS NOT NULL")
        return sorted((row["stage"], row["track"]) for row in rows)

    async def closed(self) -> bool:
        return (await self.archive.meeting("m1")).meeting.closed

    async def stored(self, track: str = "main") -> bytes:
        """Return the audio of a track; check that its chunks and frames have no hole."""
        rows = await self.rows(
            "SELECT seq, blob_key, first_frame, last_frame FROM chunks"
            " WHERE track = $1 ORDER BY seq",
            track,
        )
        assert [row["seq"] for row in rows] == list(range(len(rows)))
        next_frame, audio = 0, []
        for row in rows:
            assert row["first_frame"] == next_frame
            next_frame = row["last_frame"] + 1
            with await self.blobs.open(row["blob_key"]) as file:
                audio.append(file.read())
        return b"".join(audio)


@pytest_asyncio.fixture
async def bench(database: Database, tmp_path: Path) -> AsyncIterator[Bench]:
    blobs = LocalFsBlobStore(tmp_path)
    await blobs.prepare()
    yield Bench(database, blobs)
    await blobs.aclose()


def framed(session: LiveSession, first: int, last: int, seq: int, **fields: Any) -> NewChunk:
    values = {"frames": (first, last), "session_id": session.session_id, "live": True, **fields}
    return chunk(seq, f"{first}-{last}".encode(), track=session.track, **values)


async def test_a_live_chunk_is_work_of_the_live_stage_and_keeps_its_frames(bench: Bench) -> None:
    session = await bench.session(language="en")
    await bench.intake.accept(framed(session, 0, 11, 0, trace_id="ab" * 16))
    await bench.intake.accept(framed(session, 12, 12, 1))
    assert await bench.due() == [("live", "main")]
    rows = await bench.rows("SELECT first_frame, last_frame FROM chunks ORDER BY seq")
    assert [tuple(row) for row in rows] == [(0, 11), (12, 12)]
    meeting = (await bench.archive.meeting("m1")).meeting
    assert (meeting.audio_version, meeting.language) == (2, "en")
    (work,) = await bench.rows("SELECT wanted, trace_id FROM stage_work")
    assert tuple(work) == (2, "ab" * 16)


async def test_a_track_that_was_once_live_stays_so(bench: Bench) -> None:
    """Also when it is numbered by seq and its next chunk comes over HTTP."""
    await bench.intake.accept(chunk(0, track="plain"))
    await bench.intake.accept(chunk(0, live=True))
    await bench.intake.accept(chunk(1))
    assert await bench.due() == [("live", "main"), ("stt", "plain")]
    rows = await bench.rows("SELECT track, live FROM tracks ORDER BY track")
    assert [tuple(row) for row in rows] == [("main", True), ("plain", False)]
    (work,) = await bench.rows("SELECT wanted FROM stage_work WHERE stage = 'live'")
    assert work["wanted"] == 2


async def test_a_chunk_with_a_number_of_its_own_is_turned_away_before_it_is_stored(
    bench: Bench,
) -> None:
    await bench.session()
    await bench.session("s2", track="pair", channels=2)
    for refused in (
        chunk(0),
        chunk(0, track="pair-1"),
        chunk(0, track="other", channels=2, channel_tracks=("pair-0", "x")),
    ):
        with pytest.raises(Conflict):
            await bench.intake.admit(refused)
        with pytest.raises(Conflict):
            await bench.intake.accept(refused)
    await bench.intake.accept(chunk(0, track="pair-2"))
    assert await bench.stored() == b""


async def test_a_session_brings_no_deleted_meeting_back(bench: Bench) -> None:
    session = await bench.session()
    await PostgresDeletions(bench.database).request("m1", "somebody")
    with pytest.raises(MeetingGone):
        await bench.intake.accept(framed(session, 0, 0, 0))
    await bench.rows("DELETE FROM live_sessions RETURNING 1")
    with pytest.raises(MeetingGone):
        await bench.intake.accept(framed(session, 0, 0, 0))
    assert await bench.rows("SELECT FROM chunks") == []


async def test_a_refused_chunk_spares_the_others_of_its_commit(bench: Bench) -> None:
    old, side = await bench.session(), await bench.session("s2", track="side")
    heir = await bench.session("s3")
    answers = await asyncio.gather(
        *(
            bench.intake.accept(each)
            for each in (
                framed(old, 0, 0, 0),
                framed(side, 0, 3, 0),
                framed(heir, 0, 1, 0),
                framed(side, 4, 4, 1),
                framed(heir, 3, 3, 1),
                framed(heir, 2, 2, 1),
            )
        ),
        return_exceptions=True,
    )
    assert [type(answer).__name__ for answer in answers] == [
        *("SessionTaken", "Receipt", "Receipt", "Receipt", "SessionTaken", "Receipt")
    ]
    assert (await bench.session("s4")).next_frame == 3
    assert (await bench.session("s5", track="side")).next_frame == 5


async def test_a_held_meeting_is_not_closed_by_silence_but_by_finish(bench: Bench) -> None:
    session = await bench.session()
    await bench.intake.accept(framed(session, 0, 0, 0))
    assert await bench.work.close_quiet(0.0) == 0
    await bench.sessions.hold([session], 0.0)
    assert await bench.work.close_quiet(0.0) == 1, "a cut session holds only so long"
    session = await bench.sessions.resume("m1", "subject:a", "main", "s2")
    await bench.intake.accept(framed(session, 1, 1, 1))
    assert await bench.work.close_quiet(0.0) == 0
    assert (await bench.intake.finish("m1", {})).closed
    await bench.intake.accept(framed(session, 2, 2, 2))
    assert not await bench.closed()
    await bench.sessions.stop(session)
    assert await bench.work.close_quiet(0.0) == 1, "a stopped session holds nothing"


async def test_a_live_chunk_can_be_the_promised_last_one(bench: Bench) -> None:
    session = await bench.session()
    assert not (await bench.intake.finish("m1", {"main": 1})).closed
    await bench.intake.accept(framed(session, 0, 0, 0))
    assert not await bench.closed()
    await bench.intake.accept(framed(session, 1, 1, 1))
    assert await bench.closed()
    assert await bench.due() == [("live", "main")]


async def test_a_closed_live_track_is_heard_once_more_as_a_recording(bench: Bench) -> None:
    session = await bench.session()
    await bench.intake.accept(framed(session, 0, 0, 0))
    await bench.intake.finish("m1", {})
    claim = await bench.work.claim(Stage.LIVE, "worker", 8.0)
    assert claim is not None
    assert await bench.work.complete(claim) == (Stage.STT,)
    assert await bench.due() == [("stt", "main")]


async def test_numbered_audio_can_be_live_without_a_session(bench: Bench) -> None:
    process = bench.process()
    upload = Upload("m1", 0, form=AudioForm(live=True))
    await process.ingest.chunk(ALICE, upload, b"audio")
    assert await bench.due() == [("live", "main")]
    assert process.wake.hints == [(Stage.LIVE, "m1", "main")]
    assert await bench.rows("SELECT FROM live_sessions") == []


async def test_sockets_that_race_for_a_track_lose_and_double_no_frame(bench: Bench) -> None:
    """Two processes take the track from each other all the time.

    Every sender goes on with the frame that it was asked for when it had the track back.
    """
    processes = [bench.process(), bench.process()]
    sent = [bytes([number % 251]) * (1 + number % 97) for number in range(400)]
    dice = random.Random(7)

    async def race(process: Process, first: LiveTrack) -> None:
        track, pause = first, random.Random(dice.random())
        while track.next_frame < len(sent):
            try:
                await track.frame(track.next_frame, sent[track.next_frame])
                await asyncio.sleep(pause.random() * 0.004)
            except SessionTaken:
                await track.detach()
                await asyncio.sleep(pause.random() * 0.03)
                track = await process.resume()
        await track.detach()

    async with asyncio.timeout(60):
        first = await processes[0].start()
        second = await processes[1].start()
        async with asyncio.TaskGroup() as group:
            group.create_task(race(processes[0], first))
            group.create_task(race(processes[1], second))
        last = await processes[0].resume()
        for number in range(last.next_frame, len(sent)):
            await last.frame(number, sent[number])
        await last.stop()
    assert await bench.stored() == b"".join(sent)
    acked = sorted(processes[0].acked + processes[1].acked)
    assert len(acked) == len(set(acked)), "a frame is acknowledged once"
    (row,) = await bench.rows("SELECT next_frame, size_bytes FROM live_sessions")
    assert tuple(row) == (len(sent), len(b"".join(sent)))


async def test_a_commit_that_outlasts_the_patience_of_its_sender_counts_once(bench: Bench) -> None:
    """It succeeds although the sender was told nothing; the next try finds that out."""
    process = bench.process(patience_s=0.1)
    track = await process.start()
    async with bench.database.transaction() as connection:
        await connection.execute("SELECT FROM meetings FOR UPDATE")
        await track.frame(0, b"a" * 640)
        async with asyncio.timeout(5):
            while not process.troubles:
                await asyncio.sleep(0.01)
        await track.frame(1, b"b" * 640)
    async with asyncio.timeout(10):
        await track.stop()
    assert [error and error.code for error in process.troubles] == ["db_error", None]
    assert process.acked == [0, 1]
    assert await bench.stored() == b"a" * 640 + b"b" * 640


async def test_sessions_that_are_cut_at_any_moment_lose_and_double_nothing(
    bench: Bench, dsn: str
) -> None:
    """All sessions of the database are cut again and again while two tracks are sent."""
    process = bench.process()
    sent = [bytes([number % 251]) * 640 for number in range(250)]
    cutter = await asyncpg.connect(dsn)
    done = asyncio.Event()

    async def cut() -> None:
        while not done.is_set():
            await cutter.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname ="
                " current_database() AND pid <> pg_backend_pid() AND application_name = 'tests'"
            )
            await asyncio.sleep(0.05)

    track = await process.start()
    cutting = asyncio.create_task(cut())
    async with asyncio.timeout(60):
        for audio in sent:
            await track.frame(track.next_frame, audio)
            await asyncio.sleep(0.005)
        done.set()
        await cutting
        await track.stop()
    await cutter.close()
    assert process.troubles, "the cuts were felt"
    assert process.troubles[1::2] == [None] * (len(process.troubles) // 2)
    assert await bench.stored() == b"".join(sent)
    assert process.acked == list(range(len(sent)))


async def test_split_stereo_shares_its_bytes_and_its_numbers(bench: Bench) -> None:
    process = bench.process()
    track = await process.start(channels=2)
    await track.frame(0, bytes(640))
    await track.stop()
    rows = await bench.rows("SELECT track, channel, blob_key FROM chunks ORDER BY track")
    assert [(row["track"], row["channel"]) for row in rows] == [("main-0", 0), ("main-1", 1)]
    assert len({row["blob_key"] for row in rows}) == 1
    assert await bench.due() == [("live", "main-0"), ("live", "main-1")]
    (row,) = await bench.rows("SELECT next_frame, next_seq, size_bytes FROM live_sessions")
    assert tuple(row) == (1, 1, 640)
    again = await process.resume()
    assert again.next_frame == 1
    await again.detach()
