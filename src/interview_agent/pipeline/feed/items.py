"""What one listener is told, one item at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from interview_agent.domain.live import Alert, Partial
    from interview_agent.domain.meeting import Status
    from interview_agent.domain.transcript import Segment


@dataclass(frozen=True, slots=True)
class Updated:
    """A segment as it stood after event `event`, named and masked for this listener.

    `quality`, 0 to 1, is there once the text was enhanced.
    """

    event: int
    segment: Segment
    quality: float | None


@dataclass(frozen=True, slots=True)
class Retracted:
    """A segment that is no longer part of the transcript."""

    event: int
    segment_id: str
    track: str


@dataclass(frozen=True, slots=True)
class PartialShown:
    """What a growing segment may become, masked for this listener.

    `text` is that of all words; several that are hidden together have one label in it.
    """

    partial: Partial
    text: str


@dataclass(frozen=True, slots=True)
class AlertShown:
    """Something is wrong with the sound of a track, or no longer is."""

    alert: Alert


@dataclass(frozen=True, slots=True)
class StatusChanged:
    """Where the meeting stands after event `event`; `version` is that of transcript and report."""

    status: Status
    version: int
    event: int


FeedItem: TypeAlias = Updated | Retracted | PartialShown | AlertShown | StatusChanged
