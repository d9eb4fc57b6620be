"""Live tracks on a real database, and what captions write into them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from interview_agent.adapters.postgres import Database, PostgresLiveRecords, schedule
from interview_agent.domain.route import Stage
from interview_agent.domain.transcript import DraftSegment, Word
from interview_agent.ports.live_records import GrowingSegment, LiveCommit
from work_bench import Bench, chunk

if TYPE_CHECKING:
    from interview_agent.domain.transcript import Segment
    from interview_agent.ports.work import Claim


def draft(text: str, start_s: float = 0.0, end_s: float | None = None) -> DraftSegment:
    """Return a segment of one word, a second long unless `end_s` is given."""
    end_s = start_s + 1.0 if end_s is None else end_s
    return DraftSegment(text, start_s, end_s, (Word(text, start_s, end_s),), 0.9, "en", 0, 1)


def commit(*drafts: DraftSegment, grows: bool = False, at: Any = None) -> LiveCommit:
    """Return what one look at the sound adds; with `grows`, the last segment is not final."""
    return LiveCommit(drafts, grows, {"at": at}, max((each.end_s for each in drafts), default=0.0))


class LiveBench(Bench):
    """Live tracks on a real database."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.live = PostgresLiveRecords(database)

    async def send(self, *seqs: int, track: str = "main", meeting_id: str = "m1") -> None:
        """Accept chunks of a track."""
        for seq in seqs:
            key = f"{track}-{seq}"
            await self.intake.accept(
                chunk(seq, meeting_id=meeting_id, track=track, idempotency_key=key, live=True)
            )

    async def claim(self, stage: Stage = Stage.LIVE, lease_s: float = 60.0) -> Claim:
        """Return a claim of the work that must be due."""
        return await super().claim(stage, lease_s)

    async def opened(self, track: str = "main") -> tuple[Claim, GrowingSegment]:
        """Give a track its first chunk and begin its captions."""
        await self.send(0, track=track)
        claim = await self.claim()
        return claim, (await self.live.open(claim)).growing

    async def want_batch(self, meeting_id: str = "m1", track: str = "main") -> Claim:
        """Claim the hearing of the whole track."""
        async with self.database.transaction() as connection:
            await schedule.want(connection, Stage.STT, [(meeting_id, track, None)])
        return await self.claim(Stage.STT)

    async def segments(self, meeting_id: str = "m1") -> list[Segment]:
        """Return the segments that stand."""
        return list(await self.archive.segments(meeting_id))

    async def rows(self, statement: str, *values: object) -> list[Any]:
        """Return what a statement finds."""
        async with self.database.connection() as connection:
            return list(await connection.fetch(statement, *values))

    async def due(self) -> set[str]:
        """Return the names of the stages that are due."""
        rows = await self.rows("SELECT stage FROM stage_work WHERE due_at IS NOT NULL")
        return {row["stage"] for row in rows}
