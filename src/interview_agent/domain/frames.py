"""Frames of a live track on their way into chunks."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import islice

from interview_agent.domain.audio_format import HEAD_BYTES, starts_stream
from interview_agent.domain.upload import PCM_SAMPLE_BYTES

FRAME_NUMBER_BYTES = 8
"""Length of the number that stands before the audio of a frame."""

CHUNK_MAX_BYTES = 256 * 1024
"""Frames are joined up to this size; one larger frame is a chunk of its own."""


@dataclass(frozen=True, slots=True)
class JoinedFrames:
    """Frames `first_frame` to `last_frame`, byte by byte."""

    first_frame: int
    last_frame: int
    audio: bytes


@dataclass(frozen=True, slots=True)
class _Frame:
    audio: bytes
    came_s: float
    starts_stream: bool


def pcm_bytes_per_s(codec: str, sample_rate: int, channels: int) -> int | None:
    """Return how many bytes a second of audio takes; None where only a decoder could tell."""
    return sample_rate * channels * PCM_SAMPLE_BYTES if codec == "pcm" else None


class FrameBuffer:
    """Frames that wait to become a chunk.

    A chunk is due once it holds `chunk_s` of pcm or is full, and `chunk_s` after its first frame
    came at the latest. A frame that begins a container begins a chunk. Times are seconds of any one
    clock.
    """

    def __init__(
        self, first_frame: int, *, codec: str, pcm_bytes_per_s: int | None, chunk_s: float
    ):
        self._next_out = first_frame
        self._codec = codec
        self._chunk_s = chunk_s
        self._due_bytes = CHUNK_MAX_BYTES
        if pcm_bytes_per_s is not None:
            self._due_bytes = min(max(int(pcm_bytes_per_s * chunk_s), 1), CHUNK_MAX_BYTES)
        self._frames: deque[_Frame] = deque()
        self._size_bytes = 0
        self._later_streams = 0

    def __len__(self) -> int:
        """Return how many frames wait."""
        return len(self._frames)

    def add(self, audio: bytes, now_s: float) -> None:
        """Take the next frame in."""
        begins = starts_stream(self._codec, audio[:HEAD_BYTES])
        self._later_streams += bool(begins and self._frames)
        self._frames.append(_Frame(audio, now_s, begins))
        self._size_bytes += len(audio)

    def due_in_s(self, now_s: float) -> float:
        """Return how long the frames that wait, one at least, can still wait for others."""
        if self._later_streams or self._size_bytes >= self._due_bytes:
            return 0.0
        return max(self._frames[0].came_s + self._chunk_s - now_s, 0.0)

    def take(self) -> JoinedFrames:
        """Return as many of the waiting frames, at least one, as one chunk can hold."""
        count, size_bytes = 1, len(self._frames[0].audio)
        for frame in islice(self._frames, 1, None):
            size_bytes += len(frame.audio)
            if frame.starts_stream or size_bytes > CHUNK_MAX_BYTES:
                break
            count += 1
        taken = [self._frames.popleft() for _ in range(count)]
        first_frame = self._next_out
        self._next_out += count
        audio = b"".join(frame.audio for frame in taken)
        self._size_bytes -= len(audio)
        if self._frames and self._frames[0].starts_stream:
            self._later_streams -= 1
        return JoinedFrames(first_frame, self._next_out - 1, audio)
