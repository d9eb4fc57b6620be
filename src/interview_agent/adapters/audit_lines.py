"""The audit trail as lines of the log alone."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Sequence

    from interview_agent.ports.audit import AuditEvent, StoredAuditEvent

log = structlog.get_logger(__name__)


class AuditLines:
    """Implements `ports.audit.AuditLog`; what it keeps is found in the log."""

    def note(self, event: AuditEvent) -> None:
        """Write a line."""
        log.info(f"security_audit_{event.outcome}", **asdict(event))

    async def record(self, event: AuditEvent) -> None:
        """Write a line."""
        self.note(event)

    async def page(
        self,
        *,
        limit: int,  # noqa: ARG002 - the port's form
        outcome: str | None,  # noqa: ARG002
        subject: str | None,  # noqa: ARG002
        before_id: int | None,  # noqa: ARG002
    ) -> Sequence[StoredAuditEvent]:
        """Return nothing: lines are not read back."""
        return ()
