"""The routes of operators: queues, storage, readiness, audit trail, work that was given up on."""

from __future__ import annotations

from functools import partial
from typing import Any

from interview_agent.domain.policy import Need
from interview_agent.domain.readiness import Severity
from interview_agent.ports.operations import WorkPlace
from interview_agent.web.route import Call, Route, Takes
from interview_agent.web.schemas_admin import (
    AuditAnswer,
    AuditQuery,
    GivenUpAnswer,
    GivenUpQuery,
    HandledAnswer,
    PlaceBody,
    QueuesAnswer,
    ReadinessAnswer,
    StagesAnswer,
    StorageAnswer,
)


async def queues_health(call: Call) -> dict[str, Any]:
    """Return how much work waits, runs, and was given up on."""
    return await call.parts.admin.operations.queues()


async def storage_health(call: Call) -> dict[str, Any]:
    """Probe the audio store."""
    return await call.parts.admin.operations.storage()


async def system_readiness(call: Call) -> dict[str, Any]:
    """Return everything that stands in the way of this process."""
    issues = await call.parts.admin.issues()
    return {
        "ready": not any(issue.severity is Severity.ERROR for issue in issues),
        "issues": [
            {
                "severity": issue.severity,
                "code": issue.code,
                "message": issue.message,
                "mend": issue.mend,
            }
            for issue in issues
        ],
    }


async def security_audit(call: Call) -> dict[str, Any]:
    """Return a page of the audit trail."""
    query: AuditQuery = call.query
    return await call.parts.admin.operations.audit_events(
        limit=query.limit, outcome=query.outcome, subject=query.subject, before_id=query.before
    )


async def list_dead_letters(call: Call) -> dict[str, Any]:
    """Return a page of the work that was given up on."""
    query: GivenUpQuery = call.query
    return await call.parts.admin.operations.given_up(query.limit, query.cursor)


async def meeting_stages(call: Call) -> dict[str, Any]:
    """Return the stages of a meeting, with reasons."""
    return await call.parts.admin.operations.stages(call.meeting_id)


def _place(call: Call) -> WorkPlace:
    body: PlaceBody = call.body
    return WorkPlace(body.stage, body.meeting_id, body.track or "")


async def redrive_dead_letter(call: Call) -> dict[str, Any]:
    """Try again what was given up on."""
    return await call.parts.admin.operations.redrive(
        _place(call), partial(call.gate.hand_over, call.request)
    )


async def discard_dead_letter(call: Call) -> dict[str, Any]:
    """Take what was given up on off the list."""
    return await call.parts.admin.operations.discard(
        _place(call), partial(call.gate.hand_over, call.request)
    )


_ADMIN = "/v1/admin"

ADMIN_ROUTES: tuple[Route, ...] = (
    Route(
        "GET",
        f"{_ADMIN}/queues/health",
        queues_health,
        "See how much work waits, runs, and was given up on",
        QueuesAnswer,
        tag="admin",
        need=Need.ADMIN_READ,
    ),
    Route(
        "GET",
        f"{_ADMIN}/storage/health",
        storage_health,
        "Probe the audio store: write, read back, delete",
        StorageAnswer,
        tag="admin",
        need=Need.ADMIN_READ,
    ),
    Route(
        "GET",
        f"{_ADMIN}/system/readiness",
        system_readiness,
        "See what stands in the way of this process, and how to mend it",
        ReadinessAnswer,
        tag="admin",
        need=Need.ADMIN_READ,
    ),
    Route(
        "GET",
        f"{_ADMIN}/security/audit",
        security_audit,
        "Read who was let in, who was not, and who did what",
        AuditAnswer,
        query=AuditQuery,
        tag="admin",
        need=Need.ADMIN_READ,
    ),
    Route(
        "GET",
        f"{_ADMIN}/dlq",
        list_dead_letters,
        "List the work and chunks that were given up on",
        GivenUpAnswer,
        query=GivenUpQuery,
        tag="admin",
        need=Need.ADMIN_READ,
    ),
    Route(
        "POST",
        f"{_ADMIN}/dlq/redrive",
        redrive_dead_letter,
        "Try again what was given up on: the work, and the failed chunks of its track",
        HandledAnswer,
        takes=Takes.JSON,
        body=PlaceBody,
        errors=(404, 409, 413, 415),
        tag="admin",
        need=Need.ADMIN_WRITE,
    ),
    Route(
        "POST",
        f"{_ADMIN}/dlq/discard",
        discard_dead_letter,
        "Take what was given up on off the list; it stays failed",
        HandledAnswer,
        takes=Takes.JSON,
        body=PlaceBody,
        errors=(404, 413, 415),
        tag="admin",
        need=Need.ADMIN_WRITE,
    ),
    Route(
        "GET",
        f"{_ADMIN}/meetings/{{meeting_id}}/stages",
        meeting_stages,
        "See how far each stage of a meeting is, why, and who works on it",
        StagesAnswer,
        errors=(404,),
        tag="admin",
        need=Need.ADMIN_READ,
    ),
)
"""Every route of operators."""
