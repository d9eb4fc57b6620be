"""How much live audio of all sessions together waits for its acks."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio


class HeldAudio:
    """Counts the bytes that sessions have taken and not yet stored, over all of them."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._held_bytes = 0
        self._waiting: set[asyncio.Event] = set()

    @property
    def held_bytes(self) -> int:
        """Bytes that are held now."""
        return self._held_bytes

    def has_room(self, size_bytes: int) -> bool:
        """Say whether that many more bytes fit."""
        return self._held_bytes + size_bytes <= self._limit_bytes

    def take(self, size_bytes: int) -> None:
        """Count bytes that are held from now on."""
        self._held_bytes += size_bytes

    def give_back(self, size_bytes: int) -> None:
        """Count bytes that are no longer held, and wake everybody who waits for room."""
        self._held_bytes -= size_bytes
        waiting, self._waiting = self._waiting, set()
        for room in waiting:
            room.set()

    def tell(self, room: asyncio.Event) -> None:
        """Set an event as soon as something is given back."""
        self._waiting.add(room)
