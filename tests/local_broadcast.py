"""The twin of a broadcast: everybody is in this process."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from interview_agent.domain.live import Signal


class LocalBroadcast:
    """Implements `ports.broadcast.Broadcast` without a server."""

    def __init__(self) -> None:
        self._listeners: dict[str, list[Callable[[Signal], None]]] = {}

    @property
    def listened_to(self) -> set[str]:
        """The meetings that somebody listens to."""
        return {meeting_id for meeting_id, heard_by in self._listeners.items() if heard_by}

    def publish(self, meeting_id: str, signal: Signal) -> None:
        """Deliver to whoever still listens when the event loop turns next."""

        def deliver() -> None:
            for each in tuple(self._listeners.get(meeting_id, ())):
                each(signal)

        asyncio.get_running_loop().call_soon(deliver)

    def listen(self, meeting_id: str, deliver: Callable[[Signal], None]) -> Callable[[], None]:
        """Call `deliver` for each signal until the returned function is called."""

        def heard(signal: Signal) -> None:
            deliver(signal)

        self._listeners.setdefault(meeting_id, []).append(heard)

        def stop() -> None:
            if heard in self._listeners[meeting_id]:
                self._listeners[meeting_id].remove(heard)

        return stop
