"""How far a listener has followed the numbered events of a meeting."""

from __future__ import annotations

from interview_agent.domain.errors import ConnectionLost


class EventCursor:
    """Lets every numbered event through once, in order."""

    def __init__(self) -> None:
        self.last: int | None = None
        self._known_gap: int | None = None

    def begin(self, last_event: int) -> None:
        """Take the number after which events are wanted, unless there is one already."""
        if self.last is None:
            self.last = last_event

    def admit(self, event: int) -> bool:
        """Say whether this event is new.

        Raises `ConnectionLost` when events before it are missing: they are asked for once more. If
        the service has none even then, they were deleted, and the gap is accepted.
        """
        if self.last is not None and event <= self.last:
            return False
        if self.last is not None and event > self.last + 1 and self._known_gap != self.last:
            self._known_gap = self.last
            message = f"event {event} came after event {self.last}"
            raise ConnectionLost(message)
        self.last = event
        return True
