"""What operators see: the audit trail, and the machine room behind the admin routes."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from interview_agent.adapters.postgres import (
    PostgresAuditStore,
    PostgresOperations,
    PostgresWorkStore,
)
from interview_agent.metrics import AUDIT_FAILURES, AUDIT_ROWS_LOST
from interview_agent.pipeline.audit import AuditTrail
from interview_agent.pipeline.operations import Operations, StoragePlace
from interview_agent.web.parts import AdminParts

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from interview_agent.compose.servers import Backends
    from interview_agent.ports.audit import AuditLog
    from interview_agent.runtime.service import Service


def add_audit(service: Service, parts: Backends, stack: AsyncExitStack) -> AuditTrail:
    """Keep the audit trail of this process; what waits is written when `stack` closes."""
    service.metrics.start_at_zero(AUDIT_ROWS_LOST)
    service.metrics.start_at_zero(AUDIT_FAILURES)
    trail = AuditTrail(
        PostgresAuditStore(parts.database),
        clock=lambda: datetime.now(UTC),
        on_row_lost=partial(service.metrics.count, AUDIT_ROWS_LOST),
        on_failure=partial(service.metrics.count, AUDIT_FAILURES),
        keep_rows=service.settings.security_audit_db_enabled,
    )
    service.loops["audit"] = trail.run
    service.leavers.append(trail.flush)
    # Once more, for what comes until the last connection is closed.
    stack.push_async_callback(trail.flush)
    return trail


def admin_parts(service: Service, parts: Backends, audit: AuditLog) -> AdminParts:
    """Join what the admin routes need."""
    settings = service.settings
    operations = Operations(
        PostgresOperations(parts.database),
        PostgresWorkStore(parts.database),
        parts.wake,
        parts.wake,
        parts.blobs,
        audit,
        storage=StoragePlace(settings.storage_mode, str(settings.blob_dir)),
    )
    return AdminParts(operations=operations, issues=service.issues)
