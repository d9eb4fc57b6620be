"""What rows of live sessions promise, in memory and in PostgreSQL."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from interview_agent.adapters.postgres import Database, PostgresIntake, PostgresLiveSessions
from interview_agent.domain.errors import Conflict, ConsentDenied, NotFound, SessionTaken
from interview_agent.domain.meeting import Consent
from interview_agent.ports.intake import NewChunk, NewMeeting, Receipt
from interview_agent.ports.live_sessions import LiveSession, LiveSessions, NewLiveSession
from memory_rows import MemoryRows

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Bench:
    """Sessions, and what tests need beside them."""

    sessions: LiveSessions

    async def accept(self, chunk: NewChunk) -> Receipt:
        raise NotImplementedError

    async def deny(self, meeting_id: str) -> None:
        """Refuse the recording of a meeting of alice, also one that nobody started."""
        raise NotImplementedError

    async def worker(self, capacity: float) -> None:
        """Let a worker tell how much it can caption."""
        raise NotImplementedError

    async def language(self, meeting_id: str) -> str | None:
        """Return the language that a meeting has."""
        raise NotImplementedError

    async def frames(self, session: LiveSession, first: int, last: int, seq: int) -> Receipt:
        return await self.accept(chunk(session, first, last, seq))


class MemoryBench(Bench):
    def __init__(self) -> None:
        self.rows = MemoryRows()
        self.sessions = self.rows

    async def accept(self, chunk: NewChunk) -> Receipt:
        return await self.rows.accept(chunk)

    async def deny(self, meeting_id: str) -> None:
        if meeting_id not in self.rows.meetings:
            await self.sessions.open(new(meeting_id=meeting_id, track="any"))
        self.rows.meetings[meeting_id].denied = True

    async def worker(self, capacity: float) -> None:
        self.rows.workers.append(capacity)

    async def language(self, meeting_id: str) -> str | None:
        return self.rows.meetings[meeting_id].language


class PostgresBench(Bench):
    def __init__(self, database: Database) -> None:
        self.sessions = PostgresLiveSessions(database)
        self.database = database
        self.intake = PostgresIntake(database)

    async def accept(self, chunk: NewChunk) -> Receipt:
        return await self.intake.accept(chunk)

    async def deny(self, meeting_id: str) -> None:
        await self.intake.start(NewMeeting(meeting_id, "alice", consent=Consent.DENIED))
        async with self.database.connection() as connection:
            await connection.execute("UPDATE meetings SET consent = 'denied'")

    async def worker(self, capacity: float) -> None:
        async with self.database.connection() as connection:
            await connection.execute(
                "INSERT INTO live_workers (worker, capacity, streams)"
                " SELECT count(*)::text, $1, 0 FROM live_workers",
                capacity,
            )

    async def language(self, meeting_id: str) -> str | None:
        async with self.database.connection() as connection:
            found: str | None = await connection.fetchval(
                "SELECT language FROM meetings WHERE meeting_id = $1", meeting_id
            )
        return found


@pytest_asyncio.fixture(params=["memory", "postgres"])
async def bench(request: pytest.FixtureRequest, database: Database) -> AsyncIterator[Bench]:
    yield MemoryBench() if request.param == "memory" else PostgresBench(database)


def new(session_id: str = "s1", **fields: Any) -> NewLiveSession:
    values: dict[str, Any] = {
        "meeting_id": "m1",
        "owner": "alice",
        "track": "main",
        "codec": "pcm",
        "sample_rate": 16_000,
        "channels": 1,
    }
    return NewLiveSession(session_id=session_id, **{**values, **fields})


def chunk(session: LiveSession, first: int, last: int, seq: int, **fields: Any) -> NewChunk:
    body = f"{first}-{last}".encode()
    digest = hashlib.sha256(body).hexdigest()
    values: dict[str, Any] = {
        "frames": (first, last),
        "session_id": session.session_id,
        "live": True,
        "idempotency_key": f"live-{seq}",
        **fields,
    }
    return NewChunk(
        meeting_id=session.meeting_id,
        owner="alice",
        track=session.track,
        seq=seq,
        sha256=digest,
        size_bytes=len(body),
        blob_key=f"k/{seq}-{digest[:8]}",
        codec=session.codec,
        sample_rate=session.sample_rate,
        channels=session.channels,
        **values,
    )


async def test_a_meeting_without_a_language_takes_the_first_that_a_session_names(
    bench: Bench,
) -> None:
    await bench.sessions.open(new())
    assert await bench.language("m1") is None
    with pytest.raises(Conflict):
        await bench.sessions.open(new("s2", owner="mallory", language="de"))
    await bench.sessions.open(new("s2", language="en"))
    assert await bench.language("m1") == "en"
    await bench.sessions.open(new("s3", track="other", language="ru"))
    assert await bench.language("m1") == "en"


async def test_a_new_track_begins_with_frame_0(bench: Bench) -> None:
    session = await bench.sessions.open(new())
    assert session == LiveSession("m1", "main", "s1", "pcm", 16_000, 1, 0, 0, 0)
    assert await bench.sessions.is_open("m1", "main")
    assert not await bench.sessions.is_open("m1", "other")


async def test_a_track_goes_on_where_its_durable_frames_end(bench: Bench) -> None:
    first = await bench.sessions.open(new())
    await bench.frames(first, 0, 4, 0)
    await bench.frames(first, 5, 5, 1)
    again = await bench.sessions.open(new("s2"))
    assert (again.next_frame, again.next_seq, again.size_bytes) == (6, 2, len("0-4" + "5-5"))
    resumed = await bench.sessions.resume("m1", "alice", "main", "s3")
    assert (resumed.session_id, resumed.next_frame, resumed.next_seq) == ("s3", 6, 2)


async def test_who_opened_last_has_the_track(bench: Bench) -> None:
    old = await bench.sessions.open(new())
    await bench.frames(old, 0, 0, 0)
    heir = await bench.sessions.resume("m1", "alice", "main", "s2")
    for late in (chunk(old, 1, 1, 1), chunk(old, 0, 0, 0)):
        with pytest.raises(SessionTaken):
            await bench.accept(late)
    assert not (await bench.frames(heir, 1, 1, 1)).duplicate


async def test_frames_that_do_not_follow_are_not_taken(bench: Bench) -> None:
    session = await bench.sessions.open(new())
    await bench.frames(session, 0, 3, 0)
    for first, last, seq in ((5, 5, 1), (3, 4, 1), (4, 4, 2), (0, 1, 0)):
        with pytest.raises(SessionTaken):
            await bench.frames(session, first, last, seq)
    assert not (await bench.frames(session, 4, 4, 1)).duplicate


async def test_the_same_chunk_again_is_a_duplicate(bench: Bench) -> None:
    session = await bench.sessions.open(new())
    await bench.frames(session, 0, 3, 0)
    assert (await bench.frames(session, 0, 3, 0)).duplicate
    assert (await bench.sessions.open(new("s2"))).next_frame == 4


async def test_a_foreign_or_absent_track_cannot_be_resumed(bench: Bench) -> None:
    await bench.sessions.open(new())
    for meeting_id, owner, track in (
        ("m1", "bob", "main"),
        ("m1", "alice", "other"),
        ("m2", "alice", "main"),
    ):
        with pytest.raises(NotFound):
            await bench.sessions.resume(meeting_id, owner, track, "s2")
    with pytest.raises(Conflict):
        await bench.sessions.open(new("s2", owner="bob"))
    assert (await bench.sessions.hold([await bench.sessions.open(new("s3"))], 60)) == []


async def test_another_form_of_audio_is_a_conflict(bench: Bench) -> None:
    await bench.sessions.open(new())
    for other in ({"codec": "auto"}, {"sample_rate": 8_000}, {"channels": 2}):
        with pytest.raises(Conflict):
            await bench.sessions.open(new("s2", **other))


async def test_a_denied_meeting_opens_no_session(bench: Bench) -> None:
    session = await bench.sessions.open(new())
    await bench.deny("m1")
    with pytest.raises(ConsentDenied):
        await bench.sessions.open(new("s2"))
    with pytest.raises(ConsentDenied):
        await bench.sessions.resume("m1", "alice", "main", "s2")
    with pytest.raises(ConsentDenied):
        await bench.frames(session, 0, 0, 0)


@pytest.mark.parametrize(
    ("upload_track", "split", "channels"),
    [("main", (), 1), ("main-0", (), 2), ("other", ("main-1", "x"), 2), ("main", ("a", "b"), 1)],
)
async def test_a_track_is_numbered_by_seq_or_by_frames(
    bench: Bench, upload_track: str, split: tuple[str, ...], channels: int
) -> None:
    """Whichever came first; a split channel is a track too."""
    numbered = NewChunk(
        *("m1", "alice", upload_track, 0, "ab" * 32, 5, "k/0", "pcm", 16_000, max(len(split), 1)),
        idempotency_key="key",
        channel_tracks=split,
    )
    await bench.accept(numbered)
    with pytest.raises(Conflict):
        await bench.sessions.open(new(channels=channels))
    framed = new("s2", meeting_id="m2", channels=channels)
    await bench.sessions.open(framed)
    await bench.sessions.open(new("s3", meeting_id="m2", track="free"))
    values = {name: getattr(numbered, name) for name in numbered.__dataclass_fields__}
    with pytest.raises(Conflict):
        await bench.accept(NewChunk(**{**values, "meeting_id": "m2"}))


async def test_two_sessions_cannot_share_a_split_channel(bench: Bench) -> None:
    await bench.sessions.open(new("s1", channels=2))
    with pytest.raises(Conflict):
        await bench.sessions.open(new("s2", track="main-1"))
    await bench.sessions.open(new("s3", track="side-0"))
    with pytest.raises(Conflict):
        await bench.sessions.open(new("s4", track="side", channels=2))


async def test_hold_names_the_sessions_that_others_took(bench: Bench) -> None:
    lost = await bench.sessions.open(new())
    kept = await bench.sessions.open(new("s2", track="side"))
    heir = await bench.sessions.open(new("s3"))
    assert await bench.sessions.hold([lost, kept, heir], 60) == [lost]
    assert await bench.sessions.hold([], 60) == []


async def test_a_held_session_is_open_for_its_time_and_a_stopped_one_is_not(bench: Bench) -> None:
    session = await bench.sessions.open(new())
    await bench.sessions.hold([session], 0.05)
    await asyncio.sleep(0.1)
    assert not await bench.sessions.is_open("m1", "main")
    await bench.sessions.hold([session], 60)
    assert await bench.sessions.is_open("m1", "main")
    await bench.sessions.stop(session)
    assert await bench.sessions.hold([session], 60) == []
    assert not await bench.sessions.is_open("m1", "main")


async def test_a_session_that_was_taken_stops_nothing(bench: Bench) -> None:
    lost = await bench.sessions.open(new())
    await bench.sessions.open(new("s2"))
    await bench.sessions.stop(lost)
    assert await bench.sessions.is_open("m1", "main")


async def test_streams_are_counted_by_channels_and_capacity_by_workers(bench: Bench) -> None:
    assert (await bench.sessions.capacity()).capacity is None
    await bench.worker(1.5)
    await bench.worker(3.0)
    await bench.sessions.open(new("s1", channels=2))
    await bench.sessions.open(new("s2", track="side"))
    stopped = await bench.sessions.open(new("s3", track="third"))
    await bench.sessions.stop(stopped)
    found = await bench.sessions.capacity()
    assert (found.capacity, found.open_streams) == (4.5, 3)
