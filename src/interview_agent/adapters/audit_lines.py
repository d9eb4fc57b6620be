"""The audit trail as lines of the log alone."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import structlog

from interview_agent.domain.errors import DatabaseError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from interview_agent.ports.audit import AuditEvent, StoredAuditEvent

_log = structlog.get_logger(__name__)


class AuditLines:
    """Implements `ports.audit.AuditLog` where no rows are kept."""

    def note(self, event: AuditEvent) -> None:
        facts = asdict(event)
        _log.info(f"security_audit_{facts.pop('outcome')}", **facts)

    def tally(self, event: AuditEvent) -> None:
        """Leave out accepted audio: the trail would be of little else."""

    async def record(self, event: AuditEvent) -> None:
        self.note(event)

    async def page(
        self,
        *,
        limit: int,  # noqa: ARG002 - the port's
        outcome: str | None,  # noqa: ARG002
        subject: str | None,  # noqa: ARG002
        before_id: int | None,  # noqa: ARG002
    ) -> Sequence[StoredAuditEvent]:
        message = "no rows of the audit trail are kept"
        raise DatabaseError(message)
