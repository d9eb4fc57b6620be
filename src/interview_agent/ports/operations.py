"""What an operator looks at and does: work that was given up on, stages, waiting hints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from interview_agent.domain.meeting import StageView
    from interview_agent.domain.route import Stage


@dataclass(frozen=True, slots=True)
class WorkPlace:
    """A piece of work by its name; `track` is empty for the stages of a whole meeting."""

    stage: Stage
    meeting_id: str
    track: str


@dataclass(frozen=True, slots=True)
class GivenUp:
    """Work that was given up on, or with a `seq` one chunk that was; a chunk counts no attempts."""

    place: WorkPlace
    seq: int | None
    reason: str | None
    attempts: int | None
    failed_at: datetime


@dataclass(frozen=True, slots=True)
class Handled:
    """What an act on work that was given up on took hold of."""

    stage: bool
    chunks: int


@dataclass(frozen=True, slots=True)
class StageReport:
    """A stage for operators: `wanted` and `reached` count as the stage does.

    The lease is that of the worker that does the work now; its age is in seconds.
    """

    view: StageView
    wanted: int
    reached: int
    due_at: datetime | None
    lease_owner: str | None
    lease_age_s: float | None


class OperationRows(Protocol):
    """Rows of work, as operators see and change them. Raises `DatabaseError`."""

    async def given_up(self, limit: int, before: GivenUp | None) -> Sequence[GivenUp]:
        """Return what was given up on and not discarded, newest first, after a position."""
        ...

    async def is_given_up(self, place: WorkPlace) -> bool:
        """Whether a piece of work, or a chunk of its track, stands in that list."""
        ...

    async def redrive(self, place: WorkPlace) -> Handled:
        """Make the work due again with no attempt counted, and its failed chunks pending.

        Raises `NotFound` when nothing of it was given up on, `Conflict` while it cannot be done.
        """
        ...

    async def discard(self, place: WorkPlace) -> Handled:
        """Take the work and its failed chunks off the list; they stay failed.

        Raises `NotFound` when nothing of it was given up on.
        """
        ...

    async def stages(self, meeting_id: str) -> Sequence[StageReport]:
        """Return the stages of a meeting in the order of the route. Raises `NotFound`."""
        ...


class HintCounter(Protocol):
    """Knows how many hints wait in the queue of a stage."""

    async def count_hints(self, stage: Stage) -> int:
        """Return how many nobody has taken. Raises `QueueError`."""
        ...
