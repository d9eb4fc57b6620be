"""A real database with the stores that work on it, and what tests put into them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from interview_agent.adapters.postgres import (
    Database,
    PostgresArchive,
    PostgresIntake,
    PostgresStageRecords,
    PostgresWorkStore,
)
from interview_agent.domain.transcript import DraftSegment
from interview_agent.ports.intake import NewChunk
from interview_agent.ports.transcriber import TrackProgress

if TYPE_CHECKING:
    from interview_agent.domain.route import Stage
    from interview_agent.ports.work import Claim


class Bench:
    """A database with the stores that work on it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.intake = PostgresIntake(database)
        self.archive = PostgresArchive(database)
        self.work = PostgresWorkStore(database)
        self.records = PostgresStageRecords(database)

    async def claim(self, stage: Stage, lease_s: float = 8.0) -> Claim:
        """Return a claim of the work that must be due at `stage`."""
        claim = await self.work.claim(stage, "bench", lease_s)
        assert claim is not None
        return claim


def chunk(seq: int = 0, body: bytes = b"audio", **fields: Any) -> NewChunk:
    """Return a chunk of track `main` of meeting `m1`, unless `fields` say otherwise."""
    digest = hashlib.sha256(body).hexdigest()
    values: dict[str, Any] = {
        "meeting_id": "m1",
        "owner": "subject:a",
        "track": "main",
        "codec": "pcm",
        "sample_rate": 16000,
        "channels": 1,
        "idempotency_key": f"key-{seq}",
        **fields,
    }
    return NewChunk(
        seq=seq, sha256=digest, size_bytes=len(body), blob_key=f"k/{seq}-{digest[:8]}", **values
    )


def progress(*texts: str, keep: int = 0, done_seq: int | None = 0) -> TrackProgress:
    """Return what hearing says: a segment of a second for each text, after the `keep` first."""
    segments = tuple(
        DraftSegment(text, float(keep + i), float(keep + i + 1), language="en")
        for i, text in enumerate(texts)
    )
    return TrackProgress(keep, segments, {"at": len(texts)}, done_seq, float(len(texts)))
