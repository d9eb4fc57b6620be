"""A meeting full of secrets in any state, and what tells that nothing is left of it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from audit_twin import NotedAudit
from erasure_stand import Deaf, erasure_by
from interview_agent.adapters.local_fs import TEMPORARY_PREFIX, LocalFsBlobStore
from interview_agent.adapters.postgres import (
    Database,
    PostgresDeletions,
    PostgresErasureRecords,
    PostgresLiveRecords,
    PostgresLiveSessions,
)
from interview_agent.domain.identity import Identity, Kind
from interview_agent.domain.route import Stage
from interview_agent.pipeline.erasure import ErasureStage
from interview_agent.ports.audit import AuditEvent
from interview_agent.ports.intake import NewMeeting
from interview_agent.ports.live_records import LiveCommit
from interview_agent.ports.live_sessions import NewLiveSession
from traces import files_with, rows_with
from work_bench import Bench, chunk, progress

if TYPE_CHECKING:
    from pathlib import Path

    from interview_agent.ports.work import Claim, Outcome

OWNER = Identity("a", "user_api_key", Kind.USER)
STRANGER = Identity("b", "user_api_key", Kind.USER)
SECRET = "the blue heron nests in cell nine"
AUDIO = b"a planted sound"
DIGEST = hashlib.sha256(AUDIO).hexdigest()
CHUNKS = 3


def asked() -> AuditEvent:
    return AuditEvent("allow", "/v1/meetings/m1", "DELETE", "a", "user_api_key", "asked", 202)


class Vault(Bench):
    """A meeting full of secrets, another one beside it, and what erases the first."""

    def __init__(self, database: Database, dsn: str, folder: Path) -> None:
        super().__init__(database)
        self.dsn, self.folder = dsn, folder
        self.blobs = LocalFsBlobStore(folder)
        self.sessions = PostgresLiveSessions(database)
        self.deletions = PostgresDeletions(database)
        self.audit = NotedAudit()
        self.requests = erasure_by(self.deletions, audit=self.audit)

    def stage(
        self, records: Any = None, blobs: Any = None, wake: Any = None, **options: Any
    ) -> ErasureStage:
        return ErasureStage(
            records or PostgresErasureRecords(self.database),
            blobs or self.blobs,
            wake or Deaf(),
            **{"settle_s": 0.0, **options},
        )

    async def fill(self) -> None:
        await self.blobs.prepare()
        who = {"participants": [{"track": "main", "name": SECRET}]}
        for meeting_id in ("m1", "other"):
            await self.intake.start(
                NewMeeting(
                    meeting_id,
                    "subject:a",
                    language="en",
                    context=who,
                    recipients=(f"{SECRET[:8]}@example.com",),
                )
            )
        for seq in range(CHUNKS):
            await self.send(seq)

    async def send(self, seq: int, **fields: Any) -> None:
        new = chunk(seq, AUDIO, speaker_hint=SECRET, **fields)
        await self.blobs.put(new.blob_key, AUDIO)
        await self.intake.accept(new)

    async def claim(self, stage: Stage, lease_s: float = 60.0) -> Claim:
        return await super().claim(stage, lease_s)

    async def hear(self) -> Claim:
        """Let speech to text say the secret; the claim is held still."""
        claim = await self.claim(Stage.STT)
        await self.records.commit_progress(claim, progress(SECRET, SECRET))
        return claim

    async def report(self) -> None:
        await self.intake.finish("m1", {"main": CHUNKS - 1})
        await self.work.complete(await self.hear())
        await self.work.complete(await self.claim(Stage.ENHANCER))
        analytics = await self.claim(Stage.ANALYTICS)
        version = (await self.records.record(analytics)).meeting.audio_version
        await self.records.commit_report(analytics, version, {"summary": SECRET})
        await self.work.complete(analytics)
        delivery = await self.claim(Stage.DELIVERY)
        await self.records.commit_delivery(delivery, 1, "email", "failed", "refused")
        await self.work.complete(delivery)

    async def delete(self) -> None:
        await self.requests.delete(OWNER, "m1", asked)

    async def erase(self, stage: ErasureStage | None = None) -> Outcome:
        claim = await self.claim(Stage.ERASURE)
        outcome = await (stage or self.stage()).run(claim, lambda: None)
        await self.work.complete(claim, outcome.again_in_s)
        return outcome

    async def check_gone(self) -> None:
        """Nothing of the meeting is left but its id and the proof; the other one is as it was."""
        needles = [SECRET, SECRET[:8], DIGEST]
        assert await rows_with(self.dsn, needles) == {
            SECRET: {"meetings"},
            SECRET[:8]: {"meetings"},
            DIGEST: {"deleted_chunks"},
        }, "and that is the other meeting"
        async with self.database.connection() as connection:
            named = await connection.fetch(
                "SELECT table_name FROM information_schema.columns"
                " WHERE column_name = 'meeting_id' AND table_schema = 'public'"
            )
            left = {}
            for (table,) in named:
                of_meeting = f"SELECT count(*) FROM {table} WHERE meeting_id = 'm1'"  # noqa: S608
                left[table] = await connection.fetchval(of_meeting)
            kept = await connection.fetchrow("SELECT * FROM meetings WHERE meeting_id = 'm1'")
        rest = {table: count for table, count in left.items() if count}
        assert rest == {"meetings": 1, "deletions": 1, "stage_work": 1}
        assert (kept["context"], kept["recipients"], kept["language"]) == ({}, [], None)
        assert files_with([self.folder], [AUDIO, b"m1", SECRET.encode()]) == []
        assert not (self.folder / "meetings" / "m1").exists()
        assert (await self.archive.meeting("other")).meeting.recipients

    async def listed(self) -> list[Any]:
        return await self.archive.meetings("subject:a", limit=10, before=None)

    async def proof(self) -> Any:
        (found,) = await self.deletions.page(limit=10, before_id=None)
        return found


async def ingesting(vault: Vault) -> None:
    await vault.blobs.put("meetings/m1/main/0000000009-behind.bin", AUDIO)
    temporary = vault.folder / f"meetings/m1/main/{TEMPORARY_PREFIX}half"
    temporary.write_bytes(AUDIO[:7])


async def captioned(vault: Vault) -> None:
    await vault.sessions.open(
        NewLiveSession("m1", "subject:a", "live", "s1", "pcm", 16_000, 1, language="en")
    )
    await vault.intake.accept(
        chunk(0, AUDIO, track="live", live=True, frames=(0, 9), session_id="s1")
    )
    claim = await vault.claim(Stage.LIVE)
    records = PostgresLiveRecords(vault.database)
    opened = await records.open(claim)
    said = progress(SECRET).segments
    await records.commit(claim, opened.growing, LiveCommit(said, True, {"said": SECRET}, 1.0))


async def attended(vault: Vault) -> None:
    """A bot is in the meeting, and its sound has a track."""
    async with vault.database.connection() as connection:
        await connection.execute(
            "INSERT INTO connector_sessions (meeting_id, provider, state, wanted, epoch, join_url,"
            " bot_name, cursor) VALUES ('m1', 'sberjazz', 'active', true, 1, $1, $1, 'c1')",
            SECRET,
        )
    await named(vault)


async def named(vault: Vault) -> None:
    """A participant whom a bot hears is known by name."""
    async with vault.database.connection() as connection:
        await connection.execute(
            "INSERT INTO connector_tracks (meeting_id, participant_id, track, name, epoch,"
            " base_seq) VALUES ('m1', 'p1', 'p-1', $1, 1, 0)",
            SECRET,
        )


async def heard(vault: Vault) -> None:
    await vault.hear()


async def reported(vault: Vault) -> None:
    await vault.report()


async def failed(vault: Vault) -> None:
    claim = await vault.hear()
    assert await vault.records.fail_next_chunk(claim, "undecodable") is not None
    again = await vault.claim(Stage.STT)
    await vault.work.give_up(again, f"internal: {SECRET}")
