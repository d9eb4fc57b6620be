"""A meeting that is deleted is gone: for readers at once, from every store soon, for good."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from erasure_stand import Deaf
from erasure_vault import (
    AUDIO,
    CHUNKS,
    DIGEST,
    OWNER,
    SECRET,
    STRANGER,
    Vault,
    asked,
    attended,
    captioned,
    failed,
    heard,
    ingesting,
    reported,
)
from interview_agent.adapters.postgres import (
    PostgresErasureRecords,
    PostgresLiveRecords,
)
from interview_agent.domain.errors import (
    DatabaseError,
    LeaseLost,
    MeetingGone,
    MeetingTaken,
    NotFound,
    StorageError,
)
from interview_agent.domain.route import Stage
from interview_agent.domain.upload import AudioForm, Upload
from interview_agent.pipeline.ingest import Ingest
from interview_agent.ports.erasure import Cause
from interview_agent.ports.intake import NewMeeting
from interview_agent.ports.live_records import LiveCommit
from interview_agent.ports.live_sessions import NewLiveSession
from interview_agent.ports.stage_records import EnhancedText
from work_bench import chunk, progress

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from interview_agent.adapters.local_fs import LocalFsBlobStore


@pytest.mark.parametrize("state", [ingesting, captioned, attended, heard, reported, failed])
async def test_nothing_is_left_in_whatever_state_it_was(
    vault: Vault, state: Callable[[Vault], Any]
) -> None:
    await state(vault)
    await vault.delete()
    assert (await vault.erase()).again_in_s is None
    await vault.check_gone()
    proof = await vault.proof()
    assert proof.cause is Cause.REQUEST
    assert (proof.meeting_id, proof.requested_by) == ("m1", "a")
    assert proof.finished_at is not None
    assert proof.counts["files"] == proof.counts["chunks"] == CHUNKS + (state is captioned)
    assert proof.counts["bytes"] == len(AUDIO) * proof.counts["files"]
    digests = await vault.deletions.digests(proof.id, limit=10, after=None)
    assert [digest for _, digest in digests] == [DIGEST] * proof.counts["files"]
    assert await vault.work.claim(Stage.ERASURE, "test", 60.0) is None


async def test_channels_heard_apart_are_one_file_in_the_proof(vault: Vault) -> None:
    await vault.send(0, track="pair", channels=2, channel_tracks=("left", "right"))
    await vault.delete()
    await vault.erase()
    counts = (await vault.proof()).counts
    assert (counts["files"], counts["chunks"]) == (CHUNKS + 1, CHUNKS + 2)


async def test_the_owner_finds_it_gone_and_everybody_else_as_taken_as_before(vault: Vault) -> None:
    await vault.report()
    await vault.delete()
    for erased in (False, True):
        with pytest.raises(NotFound):
            await vault.archive.meeting("m1")
        assert [m.meeting.meeting_id for m in await vault.listed()] == ["other"]
        assert set(await vault.archive.standings(["m1", "other"])) == {"other"}
        with pytest.raises(NotFound):
            await vault.intake.finish("m1", {})
        for call in (
            lambda: vault.intake.admit(chunk(7)),
            lambda: vault.intake.admit_meeting(chunk(7)),
            lambda: vault.intake.accept(chunk(7)),
            lambda: vault.intake.start(NewMeeting("m1", "subject:a")),
            lambda: vault.sessions.open(
                NewLiveSession("m1", "subject:a", "t", "s", "pcm", 16_000, 1)
            ),
        ):
            with pytest.raises(MeetingGone):
                await call()
        for call in (
            lambda: vault.intake.accept(chunk(7, owner="subject:b")),
            lambda: vault.intake.start(NewMeeting("m1", "subject:b")),
        ):
            with pytest.raises(MeetingTaken):
                await call()
        with pytest.raises(NotFound):
            await vault.sessions.resume("m1", "subject:a", "main", "s")
        with pytest.raises(NotFound):
            await vault.requests.delete(STRANGER, "m1", asked)
        if not erased:
            await vault.erase()
    await vault.check_gone()


async def test_a_late_result_of_any_stage_changes_nothing(vault: Vault) -> None:
    await vault.report()
    await vault.send(CHUNKS)
    await captioned(vault)
    stt = await vault.claim(Stage.STT)
    retention = await vault.claim(Stage.RETENTION)
    async with vault.database.connection() as connection:
        await connection.execute(
            "UPDATE stage_work SET due_at = now(), lease_until = NULL WHERE stage <> 'stt'"
            " AND stage <> 'retention'"
        )
    live = await vault.claim(Stage.LIVE)
    enhancer = await vault.claim(Stage.ENHANCER)
    analytics = await vault.claim(Stage.ANALYTICS)
    delivery = await vault.claim(Stage.DELIVERY)
    opened = await PostgresLiveRecords(vault.database).open(live)
    await vault.delete()
    records, captions = vault.records, PostgresLiveRecords(vault.database)
    forgetting = PostgresErasureRecords(vault.database)
    late = [
        lambda: records.commit_progress(stt, progress(SECRET)),
        lambda: records.fail_next_chunk(stt, "late"),
        lambda: captions.news(live, 0, 10),
        lambda: captions.commit(live, opened.growing, LiveCommit((), False, {"s": SECRET}, 1.0)),
        lambda: records.commit_enhanced(enhancer, [EnhancedText("seg_000001", 1, SECRET, ())]),
        lambda: records.commit_report(analytics, 9, {"summary": SECRET}),
        lambda: records.commit_delivery(delivery, 1, "email", "sent", SECRET),
        lambda: records.report(delivery),
        lambda: forgetting.expired_text(retention, 1),
        *(
            lambda claim=claim, call=call: call(claim)
            for claim in (stt, live, enhancer, analytics, delivery, retention)
            for call in (
                vault.work.complete,
                vault.work.hand_back,
                lambda each: vault.work.retry_later(each, 1.0, SECRET),
                lambda each: vault.work.give_up(each, SECRET),
                lambda each: vault.work.renew(each, 60.0),
            )
        ),
    ]
    for again in (False, True):
        for write in late:
            with pytest.raises(LeaseLost):
                await write()
        assert await vault.work.close_quiet(0.0) == 0
        if not again:
            await vault.erase()
    await vault.check_gone()


async def test_bytes_that_were_under_way_when_it_was_deleted_go_as_well(vault: Vault) -> None:
    """The gate of a chunk was open, the meeting is erased, and then its file comes."""
    store = Slow(vault.blobs)
    ingest = Ingest(vault.intake, vault.archive, store, Deaf(), clock=lambda: datetime.now(UTC))
    audio = AudioForm(codec="pcm", sample_rate=16_000, channels=1)
    sending = asyncio.create_task(ingest.chunk(OWNER, Upload("m1", 9, "main", audio), AUDIO))
    recording = asyncio.create_task(
        ingest.recording(OWNER, Upload("m1", 10, "main", audio), store.pieces(), max_bytes=100)
    )
    await store.reached(2)
    await vault.delete()
    await vault.erase()
    store.gate.set()
    for task in (sending, recording):
        with pytest.raises((MeetingGone, StorageError)):
            await task
    await vault.check_gone()


async def test_asking_at_the_same_time_and_again_gives_one_deletion(vault: Vault) -> None:
    several = (vault.requests.delete(OWNER, "m1", asked) for _ in range(8))
    found = await asyncio.gather(*several)
    assert len({each.id for each in found}) == 1
    await vault.erase()
    again = await vault.requests.delete(OWNER, "m1", asked)
    assert (again.id, again.finished_at is None) == (found[0].id, False)
    assert len(vault.audit.recorded) == 9
    assert (await vault.proof()).id == again.id


async def test_without_its_trace_nothing_is_deleted(vault: Vault) -> None:
    vault.audit.fault = DatabaseError()
    with pytest.raises(DatabaseError):
        await vault.delete()
    assert (await vault.archive.meeting("m1")).meeting.recipients
    assert await vault.work.claim(Stage.ERASURE, "test", 60.0) is None


async def test_an_absent_meeting_is_not_deleted_and_leaves_no_trace(vault: Vault) -> None:
    with pytest.raises(NotFound):
        await vault.requests.delete(OWNER, "nowhere", asked)
    assert vault.audit.recorded == []


class Slow:
    """A store whose chunks and recordings wait at a gate, let in but not there yet."""

    def __init__(self, store: LocalFsBlobStore) -> None:
        self._store = store
        self._waiting = asyncio.Semaphore(0)
        self.gate = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def reached(self, count: int) -> None:
        """Wait until so many stand at the gate."""
        async with asyncio.timeout(10):
            for _ in range(count):
                await self._waiting.acquire()

    async def put(self, key: str, body: bytes) -> None:
        self._waiting.release()
        await self.gate.wait()
        await self._store.put(key, body)

    async def pieces(self) -> AsyncIterator[bytes]:
        yield AUDIO[:4]
        self._waiting.release()
        await self.gate.wait()
        yield AUDIO[4:]


async def test_more_than_a_batch_of_everything_goes(vault: Vault) -> None:
    async with vault.database.connection() as connection:
        await connection.execute(
            "INSERT INTO chunks (meeting_id, track, seq, upload_track, sha256, size_bytes, codec,"
            " sample_rate, channels, idempotency_key) SELECT 'm1', 'main', n, 'main', $1, 1, 'pcm',"
            " 16000, 1, n::text FROM generate_series(100, 750) AS n",
            DIGEST,
        )
        await connection.execute(
            "INSERT INTO events (meeting_id, event, kind, segment_id, track)"
            " SELECT 'm1', n, 'retract', 's', 'main' FROM generate_series(1, 1200) AS n"
        )
    await vault.delete()
    await vault.erase()
    counts = (await vault.proof()).counts
    assert (counts["chunks"], counts["files"]) == (CHUNKS + 651, CHUNKS), "their audio was not here"
    assert counts["events"] == 1200
    proof = (await vault.proof()).id
    digests = await vault.deletions.digests(proof, limit=1000, after=None)
    assert len(digests) == CHUNKS + 651
    tail = await vault.deletions.digests(proof, limit=1000, after=digests[-3][0])
    assert tail == digests[-2:]


async def test_words_of_a_meeting_that_is_not_deleted_cannot_be_erased(vault: Vault) -> None:
    await vault.delete()
    claim = await vault.claim(Stage.ERASURE)
    async with vault.database.connection() as connection:
        await connection.execute("UPDATE meetings SET deleted_at = NULL")
    with pytest.raises(LeaseLost):
        await vault.stage().run(claim, lambda: None)
