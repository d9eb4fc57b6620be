"""What the admin routes need, for tests that are about something else or about them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from interview_agent.adapters.postgres import (
    Database,
    PostgresOperations,
    PostgresWorkStore,
)
from interview_agent.domain.errors import DatabaseError, QueueError
from interview_agent.pipeline.audit import AuditTrail
from interview_agent.pipeline.operations import Operations, StoragePlace
from interview_agent.web.parts import AdminParts

if TYPE_CHECKING:
    from interview_agent.domain.readiness import Issue
    from interview_agent.domain.route import Stage
    from interview_agent.ports.audit import AuditLog, AuditStore
    from interview_agent.ports.blob_store import BlobStore

STORAGE = StoragePlace("local_fs", "data/chunks")


class Hints:
    """A wake queue that remembers what it was told, and can be away."""

    def __init__(self) -> None:
        self.told: list[tuple[Stage, str, str]] = []
        self.away: set[Stage] = set()
        self.unburied: list[tuple[Stage, str, str]] = []

    def notify(self, stage: Stage, meeting_id: str, track: str = "") -> None:
        """Remember it."""
        self.told.append((stage, meeting_id, track))

    def bury(self, stage: Stage, meeting_id: str, track: str, reason: str) -> None:
        """Forget it."""

    async def unbury(self, stage: Stage, meeting_id: str, track: str) -> int:
        """Remember it."""
        if stage in self.away:
            raise QueueError
        self.unburied.append((stage, meeting_id, track))
        return 1

    async def wait(self, stage: Stage, timeout_s: float) -> bool:
        """Hear nothing."""
        assert stage
        await asyncio.sleep(timeout_s)
        return False

    async def count_hints(self, stage: Stage) -> int:
        """Count what was told."""
        if stage in self.away:
            raise QueueError
        return sum(each is stage for each, _, _ in self.told)


class Issues:
    """Finds the issues that it is given."""

    def __init__(self) -> None:
        self.found: list[Issue] = []

    async def __call__(self) -> list[Issue]:
        return self.found


def audit_trail(store: AuditStore) -> AuditTrail:
    """Make an audit trail that loses nothing unnoticed."""

    def lose() -> None:
        raise AssertionError

    return AuditTrail(
        store, clock=lambda: datetime.now(UTC), on_row_lost=lose, on_failure=lambda: None
    )


def admin_parts(
    database: Database,
    blobs: BlobStore,
    audit: AuditLog,
    hints: Hints | None = None,
    issues: Issues | None = None,
) -> AdminParts:
    """Join the admin side of a real database and a store."""
    hints = hints or Hints()
    operations = Operations(
        PostgresOperations(database),
        PostgresWorkStore(database),
        hints,
        hints,
        blobs,
        audit,
        storage=STORAGE,
    )
    return AdminParts(operations=operations, issues=issues or Issues())


class NoRows:
    """Rows of work whose database is away."""

    async def depths(self) -> Any:
        """Fail."""
        raise DatabaseError

    async def given_up(self, limit: int, before: object) -> Any:
        """Fail."""
        raise DatabaseError(repr((limit, before)))

    async def is_given_up(self, place: object) -> Any:
        """Fail."""
        raise DatabaseError(repr(place))

    async def stages(self, meeting_id: str) -> Any:
        """Fail."""
        raise DatabaseError(meeting_id)


def admin_parts_without_database(blobs: BlobStore, audit: AuditLog) -> AdminParts:
    """Join the admin side of a store whose database is away."""
    rows: Any = NoRows()
    hints = Hints()
    operations = Operations(rows, rows, hints, hints, blobs, audit, storage=STORAGE)
    return AdminParts(operations=operations, issues=Issues())
