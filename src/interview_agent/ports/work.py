"""Who may advance what: leases with fencing numbers, and the verdicts on finished work."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from interview_agent.domain.route import Stage


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to do one piece of work until `lease_s` passes without a renewal.

    `epoch` is the fencing number: a write under an older one is refused. `target` is how far the
    work was wanted when it was claimed. `attempts` counts this claim too. `track` is empty for the
    stages of a whole meeting. With `taken_over` the lease of an earlier worker had run out; with
    `scheduled` the work waited for its time, so that nobody had to be woken for it.
    """

    stage: Stage
    meeting_id: str
    track: str
    epoch: int
    target: int
    attempts: int
    trace_id: str | None
    taken_over: bool = False
    scheduled: bool = False


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """How much of one stage waits, runs, and was given up on; the age of the oldest undone work.

    What an operator discarded does not count; chunks that were given up on count for `stt`.
    `reasons` counts what was given up on by the code of its last error.
    """

    stage: Stage
    waiting: int
    running: int
    failed: int
    oldest_age_s: float
    reasons: Mapping[str, int] = field(default_factory=dict)


class WorkStore(Protocol):
    """The truth about work. All methods raise `DatabaseError`; fenced ones raise `LeaseLost`."""

    async def claim(self, stage: Stage, owner: str, lease_s: float) -> Claim | None:
        """Take the oldest due work of a stage, or None; counts the attempt at once."""
        ...

    async def renew(self, claim: Claim, lease_s: float) -> None:
        """Extend the lease."""
        ...

    async def complete(self, claim: Claim, again_in_s: float | None = None) -> tuple[Stage, ...]:
        """Record that the work reached its target, and return the stages that have work now.

        What was wanted meanwhile stays due; else the work is due again after `again_in_s`, or
        only when it is wanted.
        """
        ...

    async def retry_later(self, claim: Claim, delay_s: float, reason: str) -> None:
        """Give the work back to be tried again after `delay_s`."""
        ...

    async def hand_back(self, claim: Claim) -> None:
        """Give the work back unharmed: the attempt does not count."""
        ...

    async def put_off(self, claim: Claim, delay_s: float, reason: str) -> None:
        """Give the work back for want of what it needs: due after `delay_s`, no attempt counted.

        Its age goes on from when it was due first.
        """
        ...

    async def give_up(self, claim: Claim, reason: str) -> tuple[Stage, ...]:
        """Mark the work failed, and return the stages that have work now."""
        ...

    async def close_quiet(self, quiet_s: float) -> int:
        """Close the meetings whose last chunk is older than `quiet_s`; return how many.

        What an open live session or a wanted bot in its meeting holds stays open.
        """
        ...

    async def depths(self) -> list[QueueDepth]:
        """Count the work of every stage."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a stage says when it has done all it could.

    `again_in_s` asks for another look later even if nothing new is wanted. `reached` is how far
    the work got; None: as far as it was wanted when it was claimed. `unfinished` work is handed
    back as it is, for another worker to take at once.
    """

    again_in_s: float | None = None
    reached: int | None = None
    unfinished: bool = False


class StageHandler(Protocol):
    """The work of one stage; the loop sees to claims, leases, retries and dead letters."""

    stage: Stage

    async def run(self, claim: Claim, alive: Callable[[], None]) -> Outcome:
        """Advance the work as far as possible; calling it twice changes nothing.

        `alive` is to be called whenever there was progress: without it for long, the work is taken
        for stuck and its lease runs out.
        """
        ...

    async def give_up(self, claim: Claim, reason: str) -> bool:
        """React to work that failed too often; True means that it can go on without the cause."""
        ...
