"""A twin of the audit trail that keeps what it is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from interview_agent.ports.audit import AuditEvent, StoredAuditEvent


class NotedAudit:
    """Implements `ports.audit.AuditLog` in memory; `fault` is raised instead of recording."""

    def __init__(self) -> None:
        self.noted: list[AuditEvent] = []
        self.tallied: list[AuditEvent] = []
        self.recorded: list[AuditEvent] = []
        self.fault: Exception | None = None

    def note(self, event: AuditEvent) -> None:
        self.noted.append(event)

    def tally(self, event: AuditEvent) -> None:
        self.tallied.append(event)

    async def record(self, event: AuditEvent) -> None:
        if self.fault is not None:
            raise self.fault
        self.recorded.append(event)

    async def page(
        self,
        *,
        limit: int,
        outcome: str | None,
        subject: str | None,
        before_id: int | None,
    ) -> Sequence[StoredAuditEvent]:
        """Show nothing: tests look at what was told."""
        assert limit > 0, (outcome, subject, before_id)
        return []

    @property
    def denied(self) -> list[AuditEvent]:
        """What was refused."""
        return [event for event in self.noted if event.outcome == "deny"]

    def taken(self) -> tuple[list[AuditEvent], list[AuditEvent]]:
        """Return what was noted and what was tallied since this was last asked."""
        noted, tallied = self.noted, self.tallied
        self.noted, self.tallied = [], []
        return noted, tallied
