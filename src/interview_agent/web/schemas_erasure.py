"""Forms of the requests and answers about what is deleted."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field

from interview_agent.ports.erasure import Cause
from interview_agent.web.schemas import Form

_MAX_ID = 2**63 - 1

Id = Annotated[int, Field(ge=0, le=_MAX_ID)]


class DeletionsQuery(Form):
    """Which proofs to list: the newest, or those before an id."""

    limit: Annotated[int, Field(ge=1, le=500)] = 100
    before: Id | None = None


class DeletionPath(Form):
    """The deletion that a path names."""

    deletion_id: Id


class DigestsQuery(Form):
    """Which digests to list: the first, or those after a number."""

    limit: Annotated[int, Field(ge=1, le=10_000)] = 1_000
    after: Id | None = None


class MeetingDeleted(BaseModel):
    """A meeting is out of sight; `finished_at` says when nothing of it was left."""

    api_version: str
    meeting_id: str
    deletion_id: int
    requested_at: datetime
    finished_at: datetime | None


class DeletionFacts(BaseModel):
    """The proof of one deletion, without content.

    `counts` holds by kind what is gone: `files` and `bytes` of audio, `stray_files` that no chunk
    named, and rows of `chunks`, `segments`, `events`, `reports` and more.
    """

    id: int
    meeting_id: str
    cause: Cause
    requested_by: str
    requested_at: datetime
    finished_at: datetime | None
    counts: dict[str, int]


class DeletionPage(BaseModel):
    """Proofs, the newest first; `next_before` is null on the last page."""

    deletions: list[DeletionFacts]
    next_before: int | None


class DigestPage(BaseModel):
    """SHA-256 digests in hex of the audio that is gone; `next_after` is null on the last page."""

    deletion_id: int
    sha256: list[str]
    next_after: int | None
