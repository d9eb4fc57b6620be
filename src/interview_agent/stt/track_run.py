"""One call to transcribe a track: the steps from its checkpoint to the end of its sound."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from interview_agent.ports.audio import SAMPLE_RATE
from interview_agent.ports.transcriber import TrackInput, TrackProgress
from interview_agent.stt.checkpoint import Checkpoint, ranges_of
from interview_agent.stt.repetition import cut_loops
from interview_agent.stt.segmenter import segments_of
from interview_agent.stt.track_audio import Block, TrackAudio

if TYPE_CHECKING:
    from interview_agent.domain.transcript import DraftSegment
    from interview_agent.ports.speech import SpeechModel
    from interview_agent.stt.position import Position
    from interview_agent.stt.timeline import Timeline

NextBlock = Callable[[], Awaitable[Block | None]]


@dataclass(frozen=True, slots=True)
class OpenTrack:
    """The sound of one track as far as it was played."""

    audio: TrackAudio
    timeline: Timeline


class TrackRun:
    """Takes the windows of a track one after the other."""

    def __init__(
        self,
        model: SpeechModel,
        track: TrackInput,
        opened: OpenTrack,
        checkpoint: Checkpoint,
        language: str | None,
    ) -> None:
        self._model = model
        self._track = track
        self._audio = opened.audio
        self._timeline = opened.timeline
        self._checkpoint = checkpoint
        self._language = language
        self._told = 0

    async def steps(self) -> AsyncGenerator[TrackProgress]:
        """Yield the steps: whole windows that stand for good, then the tail of a closed track."""
        position = self._checkpoint.position
        self._timeline.forget_before(position.frames)
        while True:
            taken = await self._window(self._timeline, position, self._audio.next_block)
            if taken is None:
                break
            keep, (position, segments) = position.segments, taken
            self._checkpoint = replace(self._checkpoint, position=position, seqs=self._seqs())
            done_seq = self._timeline.last_seq_before(position.frames)
            yield self._progress(keep, segments, done_seq, self._timeline.heard)
            self._timeline.forget_before(position.frames)
        if self._track.closed:
            tail, heard = await self._tail(position)
            last = self._track.parts[-1].seq if self._track.parts else None
            yield self._progress(position.segments, tail, last, heard)
        elif len(self._audio.failed) > self._told:
            done = self._timeline.last_seq_before(position.frames)
            yield self._progress(position.segments, (), done, self._timeline.heard)

    def _progress(
        self, keep: int, segments: tuple[DraftSegment, ...], done_seq: int | None, heard: int
    ) -> TrackProgress:
        failed, self._told = tuple(self._audio.failed[self._told :]), len(self._audio.failed)
        return TrackProgress(
            keep=keep,
            segments=segments,
            checkpoint=replace(self._checkpoint, breaks=tuple(self._audio.breaks)).to_json(),
            done_seq=done_seq,
            heard_s=heard / SAMPLE_RATE,
            failed=failed,
        )

    def _seqs(self) -> tuple[tuple[int, int], ...]:
        ranges = ranges_of([part.seq for part in self._audio.taken])
        return tuple((first, last) for first, last in ranges)

    async def _window(
        self, timeline: Timeline, position: Position, next_block: NextBlock
    ) -> tuple[Position, tuple[DraftSegment, ...]] | None:
        """Take the window at the position, hearing no more than it needs; None if it cannot be."""
        while (window := timeline.window(position, self._language)) is None:
            block = await next_block()
            if block is None:
                return None
            await timeline.hear(block.samples, block.seq)
        result = await self._model.recognise(window)
        words = cut_loops([timeline.place(word) for word in result.words])
        segments = segments_of(words, language=result.language, seq_at=timeline.seq_at)
        looped = len(words) < len(result.words)
        return position.after(result, segments=len(segments), looped=looped), segments

    async def _tail(self, position: Position) -> tuple[tuple[DraftSegment, ...], int]:
        """Return the segments behind the last whole window, and the samples heard in all.

        This happens on a copy, since more sound may come and change it.
        """
        timeline = self._timeline.fork()
        segments: list[DraftSegment] = []
        async with aclosing(self._audio.ending()) as blocks:
            ended = False
            while True:
                timeline.forget_before(position.frames)
                taken = await self._window(timeline, position, lambda: anext(blocks, None))
                if taken is not None:
                    position = taken[0]
                    segments.extend(taken[1])
                elif ended:
                    return tuple(segments), timeline.heard
                else:
                    await timeline.end()
                    ended = True
