"""A door for live audio on stores in memory, and what is sent through it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from interview_agent.domain.identity import Identity, Kind
from interview_agent.pipeline.ingest import Ingest
from interview_agent.pipeline.live_ingest import (
    AudioAck,
    HeldAudio,
    LiveIngest,
    LiveLimits,
    LiveMeters,
    LiveParts,
    LiveRequest,
    LiveTrack,
)
from memory_rows import MemoryBlobs, MemoryRows, NotedWakeUps

if TYPE_CHECKING:
    from collections.abc import Callable

    from interview_agent.domain.errors import AgentError

ALICE = Identity("alice", "user_api_key", Kind.USER)
FRAME = bytes(640)
"""20 ms of pcm; thirteen fill a chunk of 250 ms."""

PATIENT = LiveLimits(chunk_s=60.0)
"""No chunk is due by time within a test."""

WEBM = b"\x1a\x45\xdf\xa3 a header of a stream"


async def until(condition: Callable[[], object]) -> None:
    """Wait until it holds."""
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


class Clock:
    """A clock that a test can put forward."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return asyncio.get_running_loop().time() + self.ahead_s


class Bench:
    """A door for live audio on stores in memory."""

    def __init__(
        self,
        limits: LiveLimits | None = None,
        *,
        live: bool = True,
        held_max_bytes: int = 2**20,
    ) -> None:
        self.held = HeldAudio(held_max_bytes)
        self.rows = MemoryRows()
        self.blobs = MemoryBlobs()
        self.wake = NotedWakeUps()
        self.clock = Clock()
        self.acks: list[AudioAck] = []
        self.troubles: list[str | None] = []
        self.counted: dict[str, Any] = {"sessions": 0, "frames": 0.0, "audio_s": 0.0, "refused": []}
        self.accepting = True
        self._numbers = iter(range(1000))
        ingest = Ingest(
            self.rows,
            None,  # type: ignore[arg-type] - the accept path of a chunk reads no archive
            self.blobs,  # type: ignore[arg-type]
            self.wake,  # type: ignore[arg-type]
            clock=lambda: datetime.now(UTC),
            accepting=lambda: self.accepting,
        )
        parts = LiveParts(
            accept=ingest.chunk,
            sessions=self.rows,
            limits=limits or LiveLimits(chunk_s=0.02),
            meters=LiveMeters(
                sessions=lambda count: self.counted.update(sessions=count),
                acked_frames=lambda count: self._add("frames", count),
                audio_s=lambda seconds: self._add("audio_s", seconds),
                refused_frame=self.counted["refused"].append,
            ),
            held=self.held,
            live=live,
            jitter=lambda: 0.0,
            now_s=self.clock,
        )
        self.door = LiveIngest(
            parts,
            accepting=lambda: self.accepting,
            random_hex=lambda _: f"session-{next(self._numbers)}",
        )

    def _add(self, name: str, amount: float) -> None:
        self.counted[name] += amount

    def note_trouble(self, error: AgentError | None) -> None:
        """Note the code of a trouble, or that it is over."""
        self.troubles.append(error.code if error else None)

    async def start(self, **fields: Any) -> LiveTrack:
        """Begin a session of Alice on meeting `m1`."""
        request = LiveRequest(**{"meeting_id": "m1", **fields})
        return await self.door.start(ALICE, request, self.acks.append, self.note_trouble)

    async def resume(self, track: str = "main") -> LiveTrack:
        """Come back to a track."""
        return await self.door.resume(ALICE, "m1", track, self.acks.append, self.note_trouble)

    @property
    def stored(self) -> bytes:
        """Return all bytes that are durable, in order."""
        return b"".join(self.blobs.bodies[chunk.blob_key] for chunk in self.rows.chunks)

    @property
    def acked(self) -> list[int]:
        """Return the numbers of the acknowledged frames."""
        return [frame for ack in self.acks for frame in range(ack.first_frame, ack.frame + 1)]


async def send(track: LiveTrack, *frames: bytes) -> None:
    """Send frames under their next numbers."""
    for audio in frames:
        await track.frame(track.next_frame, audio)
