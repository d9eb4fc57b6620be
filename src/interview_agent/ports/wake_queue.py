"""Wake-ups between loops and processes: hints that there is work, never the work itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from interview_agent.domain.route import Stage


class WakeQueue(Protocol):
    """Carries hints. Losing, repeating or reordering them changes nothing but latency."""

    def notify(self, stage: Stage, meeting_id: str, track: str = "") -> None:
        """Leave a hint without waiting; when the outgoing buffer is full it is dropped."""
        ...

    def bury(self, stage: Stage, meeting_id: str, track: str, reason: str) -> None:
        """Mirror work that was given up on to the dead letters of its stage, without waiting."""
        ...

    async def unbury(self, stage: Stage, meeting_id: str, track: str) -> int:
        """Delete the dead letters of a piece of work; return how many. Raises `QueueError`."""
        ...

    async def forget(self, meeting_id: str) -> int:
        """Delete every hint and dead letter of a meeting; return how many. Raises `QueueError`."""
        ...

    async def wait(self, stage: Stage, timeout_s: float) -> bool:
        """Wait for a hint that there is work of a stage; False: none came for `timeout_s`."""
        ...
