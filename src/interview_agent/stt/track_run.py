"""One call to transcribe a track: the steps from its checkpoint to the end of its sound."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from interview_agent.ports.audio import SAMPLE_RATE
from interview_agent.ports.speech import FRAME
from interview_agent.ports.transcriber import TrackProgress
from interview_agent.stt.checkpoint import Checkpoint, ranges_of
from interview_agent.stt.loudness import SAME, loudest_after, loudest_of_all
from interview_agent.stt.position import Position
from interview_agent.stt.repetition import cut_loops
from interview_agent.stt.segmenter import segments_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from interview_agent.domain.transcript import DraftSegment
    from interview_agent.ports.speech import SpeechModel, SpeechWindow
    from interview_agent.ports.transcriber import TrackInput
    from interview_agent.stt.open_track import OpenTrack, TrackOpener
    from interview_agent.stt.timeline import Timeline
    from interview_agent.stt.track_audio import Block

LONG_SAMPLES = 300 * SAMPLE_RATE
"""Sound that may be heard before the caller is told that work goes on."""

LONG_WINDOWS = 2
"""Windows that may be taken before the caller is told that work goes on."""


NextBlock = Callable[[], Awaitable["Block | None"]]


class Taken(NamedTuple):
    """One window taken: where it leads, what was said in it, and whether that stands for good."""

    position: Position
    segments: tuple[DraftSegment, ...]
    stable: bool


class TrackRun:
    """Takes the windows of a track one after the other."""

    def __init__(
        self,
        model: SpeechModel,
        opener: TrackOpener,
        track: TrackInput,
        opened: OpenTrack,
        checkpoint: Checkpoint,
        *,
        exact_up_to_s: float,
    ) -> None:
        """Take a track that was played as far as `checkpoint` says, or not as far."""
        self.opened = opened
        self._model = model
        self._opener = opener
        self._track = track
        self._language = track.language
        self._exact_frames = exact_up_to_s * SAMPLE_RATE / FRAME
        self._committed: dict[str, Any] = track.checkpoint or checkpoint.to_json()
        self._checkpoint = checkpoint
        self._told: set[int] = set()
        self._untold_samples = 0
        self._end: Timeline | None = None
        self._heard = 0
        self._frames = 0

    async def steps(self) -> AsyncGenerator[TrackProgress]:
        """Yield the steps: whole windows that stand for good, then the tail of a closed track."""
        position = self._checkpoint.position
        self.opened.timeline.forget_before(position.frames)
        async with aclosing(self._loudest()) as moments:
            async for moment in moments:
                if moment is None:
                    yield self._sign_of_life()
                else:
                    position = replace(position, loudest=moment)
        again = self._came_late(position)
        if again:
            position = Position(loudest=position.loudest)
            self._checkpoint = replace(self._checkpoint, position=Position(), seqs=())
            await self._reopen()
        async with aclosing(self._step_by_step(position, at_once=again)) as steps:
            async for step in steps:
                yield step

    async def _step_by_step(
        self, position: Position, *, at_once: bool
    ) -> AsyncGenerator[TrackProgress]:
        """Yield the windows as steps, or `at_once` when they replace what stands already."""
        keep, windows = position.segments, 0
        waiting: list[DraftSegment] = []
        async with aclosing(self._windows(position)) as taken_windows:
            async for taken in taken_windows:
                if taken is None:
                    yield self._sign_of_life()
                    continue
                waiting.extend(taken.segments)
                if taken.stable:
                    position = taken.position
                    self._stand(position)
                if taken.stable and not at_once:
                    done_seq = self.opened.timeline.last_seq_before(position.frames)
                    until_s = self.opened.timeline.second_of(position.frames)
                    yield self._step(keep, waiting, done_seq, until_s)
                    keep, waiting = position.segments, []
                    continue
                windows += 1
                if windows % LONG_WINDOWS == 0:
                    yield self._sign_of_life()
        if self._track.closed:
            last = self._track.parts[-1].seq if self._track.parts else None
            yield self._step(keep, waiting, last, self._heard_s)
        elif any(part.seq not in self._told for part in self.opened.audio.failed):
            yield self._sign_of_life()

    def _stand(self, position: Position) -> None:
        """Let the next checkpoint be at a position that the parts played so far led to."""
        seqs = ranges_of([part.seq for part in self.opened.audio.taken])
        self._checkpoint = replace(
            self._checkpoint,
            position=position,
            seqs=tuple((first, last) for first, last in seqs),
        )

    def _step(
        self, keep: int, segments: list[DraftSegment], done_seq: int | None, until_s: float
    ) -> TrackProgress:
        self._checkpoint = replace(self._checkpoint, standing=keep + len(segments))
        self._committed = self._checkpoint.to_json()
        return self._progress(keep, segments, done_seq, until_s)

    def _sign_of_life(self) -> TrackProgress:
        """Return a step that changes nothing but tells of failed parts."""
        done_seq = self.opened.timeline.last_seq_before(self._checkpoint.position.frames)
        return self._progress(self._checkpoint.standing, [], done_seq, until_s=0.0)

    def _progress(
        self, keep: int, segments: list[DraftSegment], done_seq: int | None, until_s: float
    ) -> TrackProgress:
        failed = [part for part in self.opened.audio.failed if part.seq not in self._told]
        self._told.update(part.seq for part in failed)
        breaks = tuple(self.opened.audio.breaks)
        return TrackProgress(
            keep=keep,
            segments=tuple(segments),
            checkpoint={**self._committed, "breaks": [asdict(item) for item in breaks]},
            done_seq=done_seq,
            heard_s=self._heard_s,
            failed=tuple(failed),
            until_s=until_s,
        )

    @property
    def _heard_s(self) -> float:
        return max(self._heard, self.opened.timeline.heard) / SAMPLE_RATE

    def _is_long(self, block: Block) -> bool:
        self._untold_samples += block.samples.size
        if self._untold_samples <= LONG_SAMPLES:
            return False
        self._untold_samples = 0
        return True

    async def _loudest(self) -> AsyncGenerator[float | None]:
        """Yield the loudest moment that is known by now; None while finding it takes long."""
        position, timeline = self._checkpoint.position, self.opened.timeline
        async with aclosing(self.opened.play_ahead(position.frames)) as blocks:
            async for block in blocks:
                if self._is_long(block):
                    yield None
        if self._track.closed:
            self._end = await self.opened.ended(position.frames)
            if self._end is None:
                async with aclosing(self._loudest_of_long_track()) as moments:
                    async for moment in moments:
                        yield moment
                return
            timeline = self._end
        elif not timeline.holds_window(position):
            return
        loudest = await loudest_after(self._model, timeline, position.frames, position.loudest)
        self._frames = timeline.speech_frames
        if loudest is not None:
            yield loudest

    async def _loudest_of_long_track(self) -> AsyncGenerator[float | None]:
        opened = self._opener.open(self._track.parts, self.opened.audio.breaks)
        try:
            async with aclosing(loudest_of_all(self._model, opened)) as moments:
                async for block, loudest in moments:
                    if block is None:
                        self._frames = opened.timeline.speech_frames
                        yield loudest
                    elif self._is_long(block):
                        yield None
        finally:
            await opened.audio.aclose()

    def _came_late(self, position: Position) -> bool:
        """Say whether windows were heard before the loudest moment, and can be heard again."""
        first, loudest = position.first_loudest, position.loudest
        if not self._track.closed or first is None or loudest is None:
            return False
        return loudest - first > SAME and self._frames <= self._exact_frames

    async def _reopen(self) -> None:
        breaks = self.opened.audio.breaks
        await self.opened.audio.aclose()
        self.opened = self._opener.open(self._track.parts, breaks)
        self._end = None

    async def _windows(self, position: Position) -> AsyncGenerator[Taken | None]:
        """Take all windows that can be taken; yield None while that takes long."""
        timeline, audio = self.opened.timeline, self.opened.audio
        async with aclosing(self._windows_of(timeline, position, audio.next_block)) as windows:
            async for taken in windows:
                position = position if taken is None else taken.position
                yield taken
        if not self._track.closed:
            return
        # More sound may come and change the tail, so that it is heard in a copy.
        tail = self._end or timeline.fork()
        async with aclosing(audio.ending()) as ending:
            source = _nothing if self._end else partial(anext, ending, None)
            ended = self._end is not None
            while True:
                windows = self._windows_of(tail, position, source)
                async with aclosing(windows):
                    async for taken in windows:
                        position = position if taken is None else taken.position
                        yield taken and taken._replace(stable=False)
                if ended:
                    break
                await tail.end()
                ended = True
        self._heard = tail.heard

    async def _windows_of(
        self, timeline: Timeline, position: Position, next_block: NextBlock
    ) -> AsyncGenerator[Taken | None]:
        """Take window after window, hearing no more than they need, until the blocks run out."""
        while True:
            timeline.forget_before(position.frames)
            window = timeline.window(position, self._language)
            if window is not None:
                taken = await self._take(timeline, position, window)
                position = taken.position
                yield taken
                continue
            block = await next_block()
            if block is None:
                return
            await timeline.hear(block.samples, block.seq)
            if self._is_long(block):
                yield None

    async def _take(self, timeline: Timeline, position: Position, window: SpeechWindow) -> Taken:
        result = await self._model.recognise(window)
        words = cut_loops([timeline.place(word) for word in result.words])
        segments = segments_of(words, language=result.language, seq_at=timeline.seq_at)
        looped = len(words) < len(result.words)
        after = position.after(result, segments=len(segments), looped=looped)
        return Taken(after, segments, stable=True)


async def _nothing() -> None:
    return None
