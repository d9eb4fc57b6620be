"""Forms of requests and answers of the admin routes."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, Field

from interview_agent.domain.meeting import StageState
from interview_agent.domain.readiness import Severity
from interview_agent.domain.route import Stage
from interview_agent.web.schemas import Form, Name, empty_is_absent


class AuditQuery(Form):
    """Which events."""

    limit: Annotated[int, Field(ge=1, le=500)] = 100
    outcome: Annotated[Literal["allow", "deny"] | None, BeforeValidator(empty_is_absent)] = None
    subject: Annotated[
        Annotated[str, Field(max_length=8192)] | None, BeforeValidator(empty_is_absent)
    ] = Field(None, description="Exactly this one, as it is shown.")
    before: Annotated[
        Annotated[int, Field(ge=1, le=2**63 - 1)] | None, BeforeValidator(empty_is_absent)
    ] = Field(None, description="Only older ones than the event of this id.")


class GivenUpQuery(Form):
    """Which page of the work that was given up on."""

    limit: Annotated[int, Field(ge=1, le=500)] = 100
    cursor: Annotated[
        Annotated[str, Field(max_length=600)] | None, BeforeValidator(empty_is_absent)
    ] = None


class PlaceBody(Form):
    """A piece of work by its name; the stages of a track need its name."""

    stage: Stage
    meeting_id: Name
    track: Annotated[Name | None, BeforeValidator(empty_is_absent)] = None


class QueueFacts(BaseModel):
    """The queue of one stage: `depth` is what waits plus what runs (`pending`).

    `hints` are the entries of the stream, null with an `error` when they cannot be counted.
    """

    queue: str
    group: str
    depth: int
    pending: int
    waiting: int
    dlq_depth: int
    oldest_undone_age_s: float
    hints: int | None
    error: str | None


class QueuesAnswer(BaseModel):
    """The queues in the order of the route."""

    queues: list[QueueFacts]


class StorageAnswer(BaseModel):
    """How a probe of the audio store went."""

    mode: str
    base_dir: str
    healthy: bool
    error: str | None


class IssueFacts(BaseModel):
    """What is wrong, and how to mend it."""

    severity: Severity
    code: str
    message: str
    mend: str


class ReadinessAnswer(BaseModel):
    """Whether this process is fit for its work; warnings do not count."""

    ready: bool
    issues: list[IssueFacts]


class AuditEventFacts(BaseModel):
    """One decision; `times` counts the like ones that share its row."""

    id: int
    created_at: datetime
    outcome: Literal["allow", "deny"]
    endpoint: str
    method: str
    subject: str
    auth_type: str
    reason: str
    error_code: str | None
    status_code: int
    client_ip: str | None
    meeting_id: str | None
    times: int


class AuditAnswer(BaseModel):
    """A page of the audit trail, newest first; `next_before` asks for the next."""

    events: list[AuditEventFacts]
    next_before: int | None


class GivenUpFacts(BaseModel):
    """Work that was given up on, or with a `seq` one chunk that was."""

    stage: Stage
    meeting_id: str
    track: str | None
    seq: int | None
    reason: str | None
    attempts: int | None
    failed_at: datetime


class GivenUpAnswer(BaseModel):
    """A page of it, newest first."""

    items: list[GivenUpFacts]
    next_cursor: str | None


class HandledAnswer(BaseModel):
    """What the act took hold of: the work itself, and so many chunks of its track."""

    stage: Stage
    meeting_id: str
    track: str | None
    work: bool
    chunks: int


class StageReportFacts(BaseModel):
    """A stage; its lease is that of the worker which does the work now."""

    stage: Stage
    track: str | None
    state: StageState
    reason: str | None
    attempts: int
    wanted: int
    reached: int
    due_at: datetime | None
    lease_owner: str | None
    lease_age_s: float | None
    updated_at: datetime


class StagesAnswer(BaseModel):
    """The stages of a meeting in the order of the route."""

    meeting_id: str
    stages: list[StageReportFacts]
