"""A gateway in the process: nobody is called, and what is heard comes from files."""

from __future__ import annotations

import asyncio
import bisect
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from interview_agent.adapters.sberjazz.mock_sound import CHUNK_S
from interview_agent.domain.connector import EndReason, SessionState
from interview_agent.domain.errors import ConnectorUnavailable
from interview_agent.ports.connector import (
    Connector,
    GatewayHealth,
    GatewaySession,
    LiveChunk,
    LivePage,
    Participant,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from interview_agent.adapters.sberjazz.mock_sound import MockVoice
    from interview_agent.ports.connector import JoinOrder

MAX_MEETINGS = 1_000
"""Of more the one that was joined longest ago is forgotten."""

_FIRST_CURSOR = "mock-live-1"
_SOMEBODY = Participant("mock-1", "MockUser")


@dataclass
class _Room:
    """A meeting with our bot in it; `joined_s` and `left_s` are of a monotonic clock."""

    epoch: int
    key: str
    joined_s: float
    joined_at_ms: int
    left_s: float | None = None


class MockGateway(Connector):
    """Implements `ports.connector.Connector` without a network.

    Each voice begins when its meeting is joined and comes in chunks of a second, once they were
    said. Every meeting has `lone_chunk` besides, at once. Rooms are known to this object alone.
    """

    provider = "sberjazz_mock"
    gateway = "sberjazz_mock"

    def __init__(
        self,
        voices: Sequence[MockVoice] = (),
        *,
        lone_chunk: bytes | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lone_chunk = lone_chunk
        self._clock = clock
        self._rooms: dict[str, _Room] = {}
        self._schedule = sorted(
            (end_s, speaker, number)
            for speaker, voice in enumerate(voices)
            for number, end_s in enumerate(voice.ends_s)
        )
        self._voices = tuple(voices)

    async def join(self, order: JoinOrder, *, deadline_s: float) -> GatewaySession:  # noqa: ARG002 - takes no time
        """Enter the meeting, unless we are there or were sent there by the same order."""
        room = self._rooms.get(order.meeting_id)
        if room is None or (room.left_s is not None and room.key != order.idempotency_key):
            # Larger than any before, also than those of a process that ended.
            now_s = time.time()
            epoch = max(int(now_s), room.epoch + 1 if room else 0)
            self._rooms.pop(order.meeting_id, None)
            room = _Room(epoch, order.idempotency_key, self._clock(), int(now_s * 1000))
            self._rooms[order.meeting_id] = room
            while len(self._rooms) > MAX_MEETINGS:
                del self._rooms[next(iter(self._rooms))]
        return self._session(room)

    async def leave(self, meeting_id: str, *, deadline_s: float) -> None:  # noqa: ARG002 - takes no time
        """Leave the meeting."""
        room = self._rooms.get(meeting_id)
        if room is not None and room.left_s is None:
            room.left_s = self._clock()

    async def session(self, meeting_id: str, *, deadline_s: float) -> GatewaySession:  # noqa: ARG002 - takes no time
        """Return whether we are there."""
        room = self._rooms.get(meeting_id)
        if room is None:
            return GatewaySession(SessionState.ENDED, EndReason.LOST)
        return self._session(room)

    async def live_chunks(
        self,
        meeting_id: str,
        cursor: str | None,
        *,
        limit: int,
        deadline_s: float,  # noqa: ARG002 - takes no time
    ) -> LivePage:
        """Return what was said after the cursor."""
        room = self._rooms.get(meeting_id)
        if room is None:
            return LivePage((), cursor)
        if cursor is None and self._lone_chunk is not None:
            chunk = LiveChunk(
                f"{meeting_id}:mock-live:1", self._lone_chunk, seq=1, epoch=room.epoch
            )
            return LivePage([chunk], _FIRST_CURSOR)
        first = _position(cursor, room.epoch)
        said_s = (room.left_s or self._clock()) - room.joined_s
        end = bisect.bisect_right(self._schedule, (said_s, len(self._voices), 0))
        taken = self._schedule[first : min(end, first + max(limit, 1))]
        if not taken:
            return LivePage((), cursor)
        try:
            chunks = await asyncio.to_thread(self._read, meeting_id, room, taken)
        except OSError as error:
            message = f"A file of the mock cannot be read: {type(error).__name__}."
            raise ConnectorUnavailable(message) from None
        return LivePage(chunks, f"{room.epoch}:{first + len(taken)}")

    async def health(self, *, deadline_s: float) -> GatewayHealth:  # noqa: ARG002 - takes no time
        """Nothing can be wrong."""
        return GatewayHealth(healthy=True, details={"mode": "mock"})

    async def aclose(self) -> None:
        """Nothing is held."""

    def _session(self, room: _Room) -> GatewaySession:
        is_there = room.left_s is None
        return GatewaySession(
            state=SessionState.ACTIVE if is_there else SessionState.ENDED,
            reason=None if is_there else EndReason.LEFT,
            session_id=f"mock-{room.epoch}",
            epoch=room.epoch,
            participants=[voice.participant for voice in self._voices] or [_SOMEBODY],
            heartbeat_at=datetime.now(UTC) if is_there else None,
        )

    def _read(
        self, meeting_id: str, room: _Room, taken: Sequence[tuple[float, int, int]]
    ) -> list[LiveChunk]:
        chunks = []
        for end_s, speaker, number in taken:
            voice = self._voices[speaker]
            begin_s = number * CHUNK_S
            chunks.append(
                LiveChunk(
                    chunk_id=f"{meeting_id}:{room.epoch}:{voice.participant.participant_id}:{number}",
                    body=voice.chunk(number),
                    seq=number,
                    epoch=room.epoch,
                    sample_rate=voice.sample_rate,
                    channels=voice.channels,
                    participant=voice.participant,
                    captured_at_ms=room.joined_at_ms + begin_s * 1000,
                    duration_ms=round((end_s - begin_s) * 1000),
                )
            )
        return chunks


def _position(cursor: str | None, epoch: int) -> int:
    """Return how many chunks were taken; a cursor of another bot has taken none."""
    text, _, count = (cursor or "").partition(":")
    return int(count) if text == str(epoch) and count.isdecimal() else 0
