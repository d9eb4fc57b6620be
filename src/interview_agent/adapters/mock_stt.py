"""A transcriber for tests of everything else: one chunk gives one segment, unheard."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interview_agent.domain.transcript import DraftSegment
from interview_agent.ports.transcriber import AudioPart, TrackInput, TrackProgress, Transcriber
from interview_agent.stt.checkpoint import begin_with, ranges_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

PARTS_PER_STEP = 200


class MockTranscriber(Transcriber):
    """Says how many bytes each chunk has. Accepts any bytes and never reads them."""

    name = "mock"

    async def advance(self, track: TrackInput) -> AsyncGenerator[TrackProgress]:
        """Yield a step for each PARTS_PER_STEP chunks, and a last one for a closed track."""
        ranges = (track.checkpoint or {}).get("seqs", ())
        seqs = [part.seq for part in track.parts]
        count = sum(last - first + 1 for first, last in ranges)
        kept = count if begin_with(seqs, ranges) else 0
        told = kept
        for start in range(kept, len(seqs), PARTS_PER_STEP):
            parts = track.parts[start : start + PARTS_PER_STEP]
            told = start + len(parts)
            segments = tuple(_segment(start + at, part) for at, part in enumerate(parts))
            yield _progress(seqs[:told], keep=start, segments=segments)
        if track.closed and told == kept:
            yield _progress(seqs[:told], keep=kept, segments=())

    async def aclose(self) -> None:
        """Nothing is held."""


def _progress(seqs: list[int], *, keep: int, segments: tuple[DraftSegment, ...]) -> TrackProgress:
    return TrackProgress(
        keep=keep,
        segments=segments,
        checkpoint={"seqs": ranges_of(seqs)},
        done_seq=seqs[-1] if seqs else None,
        heard_s=float(len(seqs)),
    )


def _segment(index: int, part: AudioPart) -> DraftSegment:
    return DraftSegment(
        text=f"mock_transcript bytes={part.size_bytes} sr={part.sample_rate}",
        start_s=float(index),
        end_s=float(index + 1),
        first_seq=part.seq,
        last_seq=part.seq,
    )
