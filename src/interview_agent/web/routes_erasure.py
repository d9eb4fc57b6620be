"""Deleting meetings, and the proof of what was deleted."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from typing import Any

from interview_agent.domain.policy import Need
from interview_agent.pipeline.reader import API_VERSION
from interview_agent.web.route import Call, Reply, Route, validated
from interview_agent.web.schemas_erasure import (
    DeletionPage,
    DeletionPath,
    DeletionsQuery,
    DigestPage,
    DigestsQuery,
    MeetingDeleted,
)


async def delete_meeting(call: Call) -> Reply:
    """Take a meeting out of sight; asked again, say how far its erasure is."""
    event = partial(call.gate.hand_over, call.request)
    deletion = await call.parts.erasure.delete(call.caller, call.meeting_id, event)
    finished_at = deletion.finished_at
    content = {
        "api_version": API_VERSION,
        "meeting_id": deletion.meeting_id,
        "deletion_id": deletion.id,
        "requested_at": deletion.requested_at.isoformat(),
        "finished_at": finished_at.isoformat() if finished_at else None,
    }
    return Reply(content, HTTPStatus.OK if finished_at else HTTPStatus.ACCEPTED)


async def list_deletions(call: Call) -> dict[str, Any]:
    """Return proofs of deletions, the newest first."""
    query: DeletionsQuery = call.query
    return await call.parts.erasure.page(limit=query.limit, before_id=query.before)


async def list_digests(call: Call) -> dict[str, Any]:
    """Return digests of the audio that a deletion removed."""
    path: DeletionPath = validated(DeletionPath, dict(call.request.match_info), "path")
    query: DigestsQuery = call.query
    return await call.parts.erasure.digests(path.deletion_id, limit=query.limit, after=query.after)


ERASURE_ROUTES: tuple[Route, ...] = (
    Route(
        "DELETE",
        "/v1/meetings/{meeting_id}",
        delete_meeting,
        "Delete a meeting with all there is of it; asking again says how far that is",
        MeetingDeleted,
        status=202,
        also=(200,),
        errors=(404,),
        need=Need.MEETING_WRITE,
    ),
    Route(
        "GET",
        "/v1/admin/deletions",
        list_deletions,
        "List what was deleted, when, why and for whom",
        DeletionPage,
        query=DeletionsQuery,
        tag="admin",
        need=Need.ADMIN_READ,
    ),
    Route(
        "GET",
        "/v1/admin/deletions/{deletion_id}/chunks",
        list_digests,
        "List the digests of the audio that a deletion removed",
        DigestPage,
        query=DigestsQuery,
        errors=(404,),
        tag="admin",
        need=Need.ADMIN_READ,
    ),
)
"""Every route about what is deleted."""
