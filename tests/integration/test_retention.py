"""Audio and words go when their time is over, on a real database and a real folder."""

from __future__ import annotations

import asyncio
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from interview_agent.adapters.local_fs import LocalFsBlobStore
from interview_agent.adapters.postgres import (
    Database,
    PostgresArchive,
    PostgresDeletions,
    PostgresErasureRecords,
    PostgresIntake,
    PostgresStageRecords,
    PostgresWorkStore,
)
from interview_agent.domain.errors import DatabaseError, LeaseLost, NotFound
from interview_agent.domain.route import Stage
from interview_agent.domain.transcript import DraftSegment
from interview_agent.metrics import Metrics
from interview_agent.pipeline.erasure import RetentionStage
from interview_agent.ports.erasure import Cause, Content
from interview_agent.ports.intake import NewMeeting
from interview_agent.ports.transcriber import TrackProgress
from interview_agent.runtime.upkeep import schedule_retention
from memory_rows import NotedWakeUps
from work_bench import chunk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from interview_agent.ports.work import Claim, Outcome

DAYS_AUDIO, DAYS_TEXT = 14, 90
CHUNKS = 3


class Vault:
    """A finished meeting with three files, and a retention stage to look after it."""

    def __init__(self, database: Database, blobs: LocalFsBlobStore, folder: Path) -> None:
        self.database, self.blobs, self.folder = database, blobs, folder
        self.archive = PostgresArchive(database)
        self.work = PostgresWorkStore(database)
        records = PostgresStageRecords(database)
        self.deletions = PostgresDeletions(database)
        self.stage = RetentionStage(
            PostgresErasureRecords(database), blobs, days_audio=DAYS_AUDIO, days_text=DAYS_TEXT
        )
        self._records = records

    async def fill(self) -> None:
        intake = PostgresIntake(self.database)
        who = {"participants": [{"track": "main", "name": "Anna"}]}
        await intake.start(
            NewMeeting("m1", "subject:a", context=who, recipients=("anna@example.com",))
        )
        for seq in range(CHUNKS):
            new = chunk(seq, speaker_hint="Anna")
            await self.blobs.put(new.blob_key, b"audio")
            await intake.accept(new)
        await intake.finish("m1", {})
        stt = await self._claim(Stage.STT)
        said = (DraftSegment("said", 0.0, 1.0),)
        await self._records.commit_progress(stt, TrackProgress(0, said, {"at": 1}, 2, 1.0))
        await self.work.complete(stt)
        await self.work.complete(await self._claim(Stage.ENHANCER))
        analytics = await self._claim(Stage.ANALYTICS)
        version = (await self._records.record(analytics)).meeting.audio_version
        await self._records.commit_report(analytics, version, {"summary": "said"})
        await self.work.complete(analytics)
        await self.work.complete(await self._claim(Stage.DELIVERY))

    async def _claim(self, stage: Stage) -> Claim:
        claim = await self.work.claim(stage, "test", 60.0)
        assert claim is not None
        return claim

    async def age(self, days: int) -> None:
        """Make the meeting and its audio older than `days`."""
        async with self.database.connection() as connection:
            for statement in (
                "UPDATE meetings SET created_at = now() - make_interval(days => $1)",
                "UPDATE meetings SET last_audio_at = now() - make_interval(days => $1)",
                "UPDATE chunks SET accepted_at = now() - make_interval(days => $1)",
            ):
                await connection.execute(statement, days)

    async def due_again(self) -> None:
        """Let the next look at retention be now."""
        async with self.database.connection() as connection:
            await connection.execute("UPDATE stage_work SET due_at = now()")

    async def look(self) -> Outcome:
        """Let retention look once."""
        claim = await self._claim(Stage.RETENTION)
        outcome = await self.stage.run(claim, lambda: None)
        await self.work.complete(claim, outcome.again_in_s)
        return outcome

    def files(self) -> list[str]:
        return [path.name for path in (self.folder / "k").glob("*")]


@pytest_asyncio.fixture
async def vault(database: Database, tmp_path: Path) -> AsyncIterator[Vault]:
    blobs = LocalFsBlobStore(tmp_path / "audio")
    await blobs.prepare()
    made = Vault(database, blobs, tmp_path / "audio")
    await made.fill()
    yield made
    await blobs.aclose()


async def test_what_is_young_stays_and_is_looked_at_again(vault: Vault) -> None:
    await vault.age(DAYS_AUDIO - 1)
    assert (await vault.look()).again_in_s
    assert len(vault.files()) == CHUNKS
    assert [each.raw_text for each in await vault.archive.segments("m1")] == ["said"]


async def test_audio_goes_first_and_the_words_stay(vault: Vault) -> None:
    await vault.age(DAYS_AUDIO + 1)
    assert (await vault.look()).again_in_s
    assert vault.files() == []
    chunks = await vault.archive.chunks("m1")
    assert [(each.seq, each.blob_key) for each in chunks] == [(seq, "") for seq in range(CHUNKS)]
    assert {each.sha256 for each in chunks} != {""}, "what came can still be proved"
    view = await vault.archive.meeting("m1")
    assert view.report == {"summary": "said"}
    assert [each.raw_text for each in await vault.archive.segments("m1")] == ["said"]


async def test_then_words_reports_and_names_go_and_nobody_looks_again(vault: Vault) -> None:
    await vault.age(DAYS_TEXT + 1)
    assert (await vault.look()).again_in_s is None
    assert vault.files() == []
    view = await vault.archive.meeting("m1")
    assert (view.report, view.deliveries, view.meeting.context) == (None, [], {})
    assert list(view.meeting.recipients) == []
    assert view.tracks[0].speaker_hint is None
    assert await vault.archive.segments("m1") == []
    async with vault.database.connection() as connection:
        left = await connection.fetch("SELECT checkpoint, text_deleted_at FROM tracks, meetings")
        said = await connection.fetchval("SELECT count(*) FROM segments WHERE raw_text <> ''")
    assert [row["checkpoint"] for row in left] == [None]
    assert left[0]["text_deleted_at"] is not None
    assert said == 0
    assert await vault.work.claim(Stage.RETENTION, "test", 60.0) is None


async def test_the_link_of_its_bot_and_the_names_that_the_bot_heard_go_with_the_words(
    vault: Vault,
) -> None:
    async with vault.database.connection() as connection:
        await connection.execute(
            "INSERT INTO connector_sessions (meeting_id, provider, state, join_url, bot_name)"
            " VALUES ('m1', 'sberjazz', 'ended', 'https://salutejazz.ru/abc', 'Anna')"
        )
        await connection.execute(
            "INSERT INTO connector_tracks (meeting_id, participant_id, track, name)"
            " VALUES ('m1', 'p1', 'p-1', 'Anna')"
        )
        await vault.age(DAYS_TEXT + 1)
        await vault.look()
        kept = await connection.fetchrow(
            "SELECT s.join_url, s.bot_name, t.name FROM connector_sessions s"
            " JOIN connector_tracks t USING (meeting_id)"
        )
    assert tuple(kept) == (None, None, None)


async def test_files_that_are_gone_already_do_not_stop_it(vault: Vault) -> None:
    """A process that dies between files and rows leaves rows whose files are gone."""
    await vault.age(DAYS_AUDIO + 1)
    keys = [each.blob_key for each in await vault.archive.chunks("m1")]
    assert await vault.blobs.delete(keys) == CHUNKS
    assert (await vault.look()).again_in_s
    assert {each.blob_key for each in await vault.archive.chunks("m1")} == {""}


async def test_a_worker_that_lost_its_lease_forgets_nothing(vault: Vault) -> None:
    await vault.age(DAYS_TEXT + 1)
    slow = await vault.work.claim(Stage.RETENTION, "slow", 0.0)
    assert slow is not None
    assert await vault.work.claim(Stage.RETENTION, "heir", 60.0) is not None
    with pytest.raises(LeaseLost):
        await vault.stage.run(slow, lambda: None)
    assert [each.raw_text for each in await vault.archive.segments("m1")] == ["said"]


async def test_deleted_audio_is_gone_for_good_and_not_a_fault_of_the_store(vault: Vault) -> None:
    (first, *_) = await vault.archive.chunks("m1")
    await vault.age(DAYS_AUDIO + 1)
    await vault.look()
    with pytest.raises(NotFound):
        await vault.blobs.open(first.blob_key)


async def test_each_step_leaves_its_proof_and_looking_again_leaves_none(vault: Vault) -> None:
    await vault.age(DAYS_AUDIO + 1)
    await vault.look()
    await vault.age(DAYS_TEXT + 1)
    await vault.due_again()
    await vault.look()
    text, audio = await vault.deletions.page(limit=10, before_id=None)
    assert (audio.cause, text.cause) == (Cause.RETENTION_AUDIO, Cause.RETENTION_TEXT)
    assert audio.counts == {"files": CHUNKS, "bytes": CHUNKS * len(b"audio")}
    assert text.counts == {"events": 1, "segments": 1, "reports": 1}
    assert all(each.requested_by == "retention" and each.finished_at for each in (audio, text))
    digests = await vault.deletions.digests(audio.id, limit=10, after=None)
    assert [digest for _, digest in digests] == [sha256(b"audio").hexdigest()] * CHUNKS
    await vault.due_again()
    assert (await vault.look()).again_in_s is None
    assert len(await vault.deletions.page(limit=10, before_id=None)) == 2


async def test_a_worker_killed_in_the_middle_leaves_one_proof_with_true_counts(
    vault: Vault,
) -> None:
    await vault.age(DAYS_TEXT + 1)
    records = PostgresErasureRecords(vault.database)
    killed = await vault.work.claim(Stage.RETENTION, "killed", 0.0)
    assert killed is not None
    audio = await records.expired_audio(killed, DAYS_AUDIO)
    text = await records.expired_text(killed, DAYS_TEXT)
    assert audio is not None
    assert text is not None
    first = await records.next_audio(killed, 1, older_than_days=DAYS_AUDIO)
    await vault.blobs.delete(first)
    await records.forget_audio(killed, audio, first)
    assert await records.forget_rows(killed, text, Content.EVENTS, 1) == 1
    await vault.look()
    proofs = await vault.deletions.page(limit=10, before_id=None)
    assert [(each.id, each.finished_at is None) for each in proofs] == [
        (text.id, False),
        (audio.id, False),
    ]
    assert proofs[1].counts["files"] == CHUNKS
    assert proofs[0].counts == {"events": 1, "segments": 1, "reports": 1}


async def test_audio_may_outlive_the_words_and_is_still_looked_after(vault: Vault) -> None:
    vault.stage = RetentionStage(
        PostgresErasureRecords(vault.database), vault.blobs, days_audio=DAYS_TEXT, days_text=7
    )
    await vault.age(8)
    assert (await vault.look()).again_in_s
    assert await vault.archive.segments("m1") == []
    assert len(vault.files()) == CHUNKS
    await vault.age(DAYS_TEXT + 1)
    await vault.due_again()
    assert (await vault.look()).again_in_s is None
    assert vault.files() == []


async def test_audio_that_comes_after_the_words_went_has_its_own_time(vault: Vault) -> None:
    await vault.age(DAYS_TEXT + 1)
    await vault.look()
    new = chunk(CHUNKS, b"later")
    await vault.blobs.put(new.blob_key, b"later")
    await PostgresIntake(vault.database).accept(new)
    await vault.due_again()
    assert (await vault.look()).again_in_s, "there is something to look after again"
    assert len(vault.files()) == 1


async def test_a_meeting_whose_pipeline_never_ended_is_looked_after_too(vault: Vault) -> None:
    intake = PostgresIntake(vault.database)
    stuck = chunk(0, b"stuck", meeting_id="stuck", speaker_hint="Anna")
    await vault.blobs.put(stuck.blob_key, b"stuck")
    await intake.accept(stuck)
    for meeting_id in ("gone", "done"):
        await intake.start(NewMeeting(meeting_id, "subject:a"))
    await vault.age(DAYS_AUDIO + 1)
    async with vault.database.connection() as connection:
        await connection.execute("UPDATE meetings SET deleted_at = now() WHERE meeting_id = 'gone'")
        await connection.execute(
            "UPDATE meetings SET text_deleted_at = now() WHERE meeting_id = 'done'"
        )
    assert await vault.deletions.schedule_retention(DAYS_AUDIO + 2, 10) == 0, "all are younger"
    assert await vault.deletions.schedule_retention(DAYS_AUDIO, 10) == 1
    assert await vault.deletions.schedule_retention(DAYS_AUDIO, 10) == 0, "it is due already"
    await vault.look()
    await vault.look()
    assert vault.files() == []
    assert await vault.work.claim(Stage.RETENTION, "test", 60.0) is None


async def test_no_more_meetings_are_made_due_at_once_than_asked(vault: Vault) -> None:
    intake = PostgresIntake(vault.database)
    for number in range(5):
        await intake.start(NewMeeting(f"old-{number}", "subject:a"))
    await vault.age(DAYS_AUDIO + 1)
    counts = [await vault.deletions.schedule_retention(DAYS_AUDIO, 2) for _ in range(4)]
    assert counts == [2, 2, 1, 0]


async def test_the_reconciler_goes_on_making_retention_due_when_the_database_was_away(
    vault: Vault,
) -> None:
    async with vault.database.connection() as connection:
        await connection.execute("DELETE FROM stage_work")
    await vault.age(DAYS_AUDIO + 1)

    class Away(PostgresDeletions):
        asked = 0

        async def schedule_retention(self, days: int, limit: int) -> int:
            self.asked += 1
            if self.asked == 1:
                raise DatabaseError
            return await super().schedule_retention(days, limit)

    wake, metrics = NotedWakeUps(), Metrics("test")
    loop = asyncio.create_task(
        schedule_retention(Away(vault.database), wake, metrics, days=DAYS_AUDIO, every_s=0.01)
    )
    async with asyncio.timeout(10):
        while not wake.hints:
            assert not loop.done()
            await asyncio.sleep(0.01)
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)
    assert 'agent_swept_total{kind="retention_due"} 1' in metrics.render()
    await vault.look()
    assert vault.files() == []
