"""Signals to everybody who listens to a meeting, in whatever process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from interview_agent.domain.live import Signal


class Broadcast(Protocol):
    """Carries signals at most once. Losing them costs partials and latency, never a final."""

    def publish(self, meeting_id: str, signal: Signal) -> None:
        """Send a signal without waiting; when the outgoing buffer is full it is dropped."""
        ...

    def listen(self, meeting_id: str, deliver: Callable[[Signal], None]) -> Callable[[], None]:
        """Call `deliver` on the event loop for each signal until the returned function is called.

        `deliver` must neither block nor raise.
        """
        ...
