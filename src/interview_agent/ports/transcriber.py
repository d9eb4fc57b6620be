"""Speech to text for one track at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from interview_agent.domain.meeting import Chunk
    from interview_agent.domain.transcript import DraftSegment


@dataclass(frozen=True, slots=True)
class AudioPart:
    """One accepted chunk of a track, as the transcriber needs to know it.

    `size_bytes` and `sha256`, in full hex, are those of what was accepted.
    """

    seq: int
    blob_key: str
    size_bytes: int
    sha256: str
    codec: str
    sample_rate: int
    channels: int
    channel: int | None

    @classmethod
    def of(cls, chunk: Chunk) -> AudioPart:
        """Return the part that a chunk is."""
        return cls(
            seq=chunk.seq,
            blob_key=chunk.blob_key,
            size_bytes=chunk.size_bytes,
            sha256=chunk.sha256,
            codec=chunk.codec,
            sample_rate=chunk.sample_rate,
            channels=chunk.channels,
            channel=chunk.channel,
        )


JUDGED_BY_EARLIER_PARTS = ("no_stream_header", "undecodable")
"""Reasons that hold only as long as no chunk comes in before the failed one."""


@dataclass(frozen=True, slots=True)
class FailedPart:
    """A chunk that could not be heard, with a stable reason such as `undecodable`."""

    seq: int
    reason: str


@dataclass(frozen=True, slots=True)
class TrackInput:
    """All there is to hear of a track now.

    `parts` are in playing order, without the failed ones; one that failed by a reason of
    JUDGED_BY_EARLIER_PARTS comes again when a chunk came in before it. `closed` says that nothing
    follows for now, so the tail is to be transcribed too. `checkpoint` is what the last committed
    `TrackProgress` carried, None at the beginning.
    """

    meeting_id: str
    track: str
    language: str | None
    parts: tuple[AudioPart, ...]
    closed: bool
    checkpoint: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class TrackProgress:
    """One step forward, to be committed whole.

    The transcript of the track is its first `keep` segments, as they are, followed by `segments`
    and by what it had from second `until_s` on; None: by nothing.
    `done_seq` is the last chunk whose audio is wholly behind the checkpoint or, in the last step
    of a closed track, the last chunk of all. `heard_s` is the decoded length in seconds so far.
    """

    keep: int
    segments: tuple[DraftSegment, ...]
    checkpoint: dict[str, Any]
    done_seq: int | None
    heard_s: float
    failed: tuple[FailedPart, ...] = ()
    until_s: float | None = None

    def shifted(self, offset_s: float) -> TrackProgress:
        """Return the same step with its segments `offset_s` seconds later."""
        return replace(
            self,
            segments=tuple(each.shifted(offset_s) for each in self.segments),
            until_s=None if self.until_s is None else self.until_s + offset_s,
        )


class Transcriber(Protocol):
    """Turns the audio of a track into segments, step by step."""

    name: str

    def advance(self, track: TrackInput) -> AsyncIterator[TrackProgress]:
        """Yield every step that can be taken from the checkpoint with the audio there is.

        Taking the same input twice gives the same steps. The caller commits a step before it asks
        for the next one. Raises `SttError` when recognition itself fails.
        """
        ...

    async def aclose(self) -> None:
        """Release models, processes and threads."""
        ...
