"""The only list of stages and the only answer to "what comes next?"."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Stage(StrEnum):
    """The stages of a meeting, in the order in which its audio passes through them.

    Erasure stands apart: it alone works on a meeting that was deleted, and nothing else does.
    """

    LIVE = "live"
    STT = "stt"
    ENHANCER = "enhancer"
    ANALYTICS = "analytics"
    DELIVERY = "delivery"
    RETENTION = "retention"
    ERASURE = "erasure"

    @property
    def stream(self) -> str:
        """Name of the stream of wake-ups of this stage."""
        return f"q:{self.value}"

    @property
    def group(self) -> str:
        """Name of the consumer group on that stream."""
        return f"g:{self.value}"

    @property
    def dead_letters(self) -> str:
        """Name of the stream that mirrors the work given up on."""
        return f"{self.stream}:dlq"

    @property
    def per_track(self) -> bool:
        """Whether the work of this stage advances one track; else it advances the meeting."""
        return self in (Stage.LIVE, Stage.STT)


@dataclass(frozen=True, slots=True)
class RouteFacts:
    """What the route needs to know, read under the lock of the meeting after a stage was done.

    `closed`: no audio came since the transcript was closed. `upstream_settled`: neither this stage
    nor an earlier one has anything left to do. `text_changed`: segments wait for the enhancer.
    `finish_requested`: somebody said that the meeting is over.
    """

    closed: bool
    upstream_settled: bool
    text_changed: bool
    finish_requested: bool


@dataclass(frozen=True, slots=True)
class Step:
    """A stage that has new work, `delay_s` seconds from now."""

    stage: Stage
    delay_s: float = 0.0


UNFINISHED_DELIVERY_DELAY_S = 60.0
"""A meeting closed by silence may go on; its report is sent when no new version came so long."""


def next_steps(stage: Stage, facts: RouteFacts) -> tuple[Step, ...]:
    """Say which stages have new work now that `stage` has done all of its own."""
    match stage:
        case Stage.LIVE:
            # What was captioned while people spoke is heard once more as one recording.
            return (Step(Stage.STT),) if facts.closed else ()
        case Stage.STT:
            return (Step(Stage.ENHANCER),) if facts.closed or facts.text_changed else ()
        case Stage.ENHANCER:
            done = facts.closed and facts.upstream_settled
            return (Step(Stage.ANALYTICS),) if done else ()
        case Stage.ANALYTICS:
            delay_s = 0.0 if facts.finish_requested else UNFINISHED_DELIVERY_DELAY_S
            return (Step(Stage.DELIVERY, delay_s),)
        case Stage.DELIVERY:
            return (Step(Stage.RETENTION),)
        case Stage.RETENTION | Stage.ERASURE:
            return ()


def steps_after_giving_up(stage: Stage, facts: RouteFacts) -> tuple[Step, ...]:
    """Say what goes on although `stage` failed.

    What was heard is still reported on, and no failure keeps audio and words beyond their time.
    """
    match stage:
        case Stage.LIVE | Stage.STT | Stage.ENHANCER:
            return next_steps(stage, facts)
        case Stage.ANALYTICS | Stage.DELIVERY:
            return (Step(Stage.RETENTION),)
        case Stage.RETENTION | Stage.ERASURE:
            return ()
