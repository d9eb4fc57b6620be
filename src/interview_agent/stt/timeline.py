"""The sound of one track as one timeline, with its silence cut out and a map back.

A timeline is a cache: the same blocks in the same order always give the same one, and what lies
behind the checkpoint is dropped, so memory does not grow with the length of a recording.
"""

from __future__ import annotations

import copy
from bisect import bisect_right
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from interview_agent.ports.audio import SAMPLE_RATE, Samples
from interview_agent.ports.speech import (
    CONTEXT_FRAMES,
    FRAME,
    VOICE_SAMPLES,
    WINDOW_FRAMES,
    SpeechModel,
    SpeechWindow,
    SpokenWord,
    VoiceState,
)
from interview_agent.stt.sample_buffer import SampleBuffer
from interview_agent.stt.speech_gate import Piece, SpeechGate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from interview_agent.stt.position import Position

# A word may be placed a little before its window, but never further than this.
MAP_MARGIN_FRAMES = 3 * SAMPLE_RATE // FRAME
LAST_STEP_CONTEXT = 64


@dataclass(frozen=True, slots=True)
class PlacedWord:
    """A word on the timeline of its track, in seconds.

    `text` is as the recogniser wrote it; words with different `stretch` have removed silence
    between them.
    """

    text: str
    start_s: float
    end_s: float
    probability: float | None
    stretch: int


class Timeline:
    """One track: blocks go in, windows of speech come out, word times map back."""

    def __init__(self, model: SpeechModel, *, vad: bool) -> None:
        self._model = model
        self._vad = vad
        self._gate = SpeechGate()
        self._voice: VoiceState | None = None
        self._ended = False
        self.forgotten = 0
        """Windows from this frame on can still be had."""
        self._sound = SampleBuffer()
        self._speech = SampleBuffer()
        self._stretch_speech: list[int] = []
        self._stretch_track: list[int] = []
        self._chunk_ends: list[int] = []
        self._chunk_seqs: list[int] = []

    @property
    def heard(self) -> int:
        """Samples of the track so far."""
        return self._sound.end

    @property
    def speech_frames(self) -> int:
        """Whole frames of speech that are certain so far."""
        return self._speech.end // FRAME

    def fork(self) -> Timeline:
        """Return a timeline with the same past that goes its own way. Sound is shared."""
        twin = copy.copy(self)
        twin.__dict__.update(
            _gate=self._gate.fork(),
            _sound=self._sound.fork(),
            _speech=self._speech.fork(),
            _stretch_speech=list(self._stretch_speech),
            _stretch_track=list(self._stretch_track),
            _chunk_ends=list(self._chunk_ends),
            _chunk_seqs=list(self._chunk_seqs),
        )
        return twin

    async def hear(self, samples: Samples, seq: int) -> None:
        """Add the samples that chunk `seq` brought. Raises `SttError`."""
        self._sound.append(samples)
        if self._chunk_seqs and self._chunk_seqs[-1] == seq:
            self._chunk_ends[-1] = self.heard
        else:
            self._chunk_seqs.append(seq)
            self._chunk_ends.append(self.heard)
        await self._listen()
        self._collect()

    async def _listen(self) -> None:
        """Find voice in all whole steps that were not searched yet."""
        steps = self.heard // VOICE_SAMPLES - self._gate.steps
        if self._vad and steps:
            start = self._gate.steps * VOICE_SAMPLES
            await self._find_voice(self._sound.cut(start, start + steps * VOICE_SAMPLES))

    async def _find_voice(self, samples: Samples) -> None:
        probabilities, self._voice = await self._model.voice(samples, self._voice)
        self._gate.feed(probabilities.tolist())

    def _collect(self) -> None:
        """Move what is certainly speech to the speech, and drop what never will be."""
        for piece in self._pieces():
            if piece.opens:
                self._stretch_speech.append(self._speech.end)
                self._stretch_track.append(piece.start)
            self._speech.append(self._sound.cut(piece.start, piece.end))
        needed_from = self.heard
        if self._vad and not self._ended:
            needed_from = min(self._gate.needed_from(), self._gate.steps * VOICE_SAMPLES)
        self._sound.drop_before(needed_from)
        self._forget()

    def _pieces(self) -> list[Piece]:
        if self._vad:
            return self._gate.take(self.heard)
        return [Piece(self._speech.end, self.heard, opens=not self._stretch_speech)]

    async def end(self) -> None:
        """Say that no sound follows: all speech becomes certain. Raises `SttError`.

        The library pads the last step with zeros, adds a step of zeros where none is cut short,
        and clears the last 64 samples of that step; so does this, to hear the same voice.
        """
        if self._vad:
            last = np.zeros(VOICE_SAMPLES, np.float32)
            rest = self._sound.cut(self._gate.steps * VOICE_SAMPLES, self.heard)
            last[: rest.size] = rest
            last[-LAST_STEP_CONTEXT:] = 0
            await self._find_voice(last)
            self._gate.end(self.heard)
        self._ended = True
        self._collect()

    def window(self, position: Position, language: str | None) -> SpeechWindow | None:
        """Return the window at `position`, or None while it is not certain.

        Until the end only whole windows are given, so that their words stay whatever follows.
        """
        frames = min(WINDOW_FRAMES, self.speech_frames - position.frames)
        if frames <= 0 or not (self._ended or self.holds_window(position)):
            return None
        return replace(
            self._window(position.frames, WINDOW_FRAMES),
            frames=frames,
            prompt=position.prompt,
            loudest=position.loudest,
            last_word_end_s=position.last_word_end_s,
            language=language or position.language,
        )

    def holds_window(self, position: Position) -> bool:
        """Say whether the whole window at `position` is certain, with what its features need."""
        stop = position.frames + WINDOW_FRAMES + CONTEXT_FRAMES
        return stop * FRAME <= self._speech.end

    def windows_after(self, frames: int) -> Iterator[SpeechWindow]:
        """Yield all certain speech from frame `frames` on, to be measured, not recognised."""
        stop = self.speech_frames - (0 if self._ended else CONTEXT_FRAMES)
        for start in range(frames, stop, WINDOW_FRAMES):
            yield self._window(start, min(WINDOW_FRAMES, stop - start))

    def _window(self, start_frame: int, frames: int) -> SpeechWindow:
        first = max(0, start_frame - CONTEXT_FRAMES)
        stop = (start_frame + frames + CONTEXT_FRAMES) * FRAME
        return SpeechWindow(
            samples=self._speech.cut(first * FRAME, min(self._speech.end, stop)),
            lead_frames=start_frame - first,
            start_frame=start_frame,
            frames=frames,
            ends=self._speech.end < stop,
        )

    def forget_before(self, frames: int) -> None:
        """Drop what no window from frame `frames` on can need, now and whenever it comes."""
        self.forgotten = max(self.forgotten, frames)
        self._forget()

    def _forget(self) -> None:
        start = self._speech.start
        self._speech.drop_before((self.forgotten - CONTEXT_FRAMES) * FRAME)
        if self._speech.start == start:
            return
        margin = max(0, (self.forgotten - MAP_MARGIN_FRAMES) * FRAME)
        stretches = max(0, bisect_right(self._stretch_speech, margin) - 1)
        del self._stretch_speech[:stretches], self._stretch_track[:stretches]
        # One chunk behind the margin stays: it is the answer to `last_seq_before`.
        chunks = max(0, bisect_right(self._chunk_ends, self._track_sample(margin)) - 1)
        del self._chunk_ends[:chunks], self._chunk_seqs[:chunks]

    def _stretch_at(self, speech_sample: int) -> int:
        return max(0, bisect_right(self._stretch_speech, speech_sample) - 1)

    def _track_sample(self, speech_sample: int) -> int:
        if not self._stretch_speech:
            return 0
        stretch = self._stretch_at(speech_sample)
        return speech_sample + self._stretch_track[stretch] - self._stretch_speech[stretch]

    def place(self, word: SpokenWord) -> PlacedWord:
        """Return the word where it stands in the track, as the library places it.

        Both ends go to the stretch of speech that the middle of the word lies in, and times are
        rounded to 10 ms.
        """
        stretch = self._stretch_at(int((word.start_s + word.end_s) / 2 * SAMPLE_RATE))
        removed = self._stretch_track[stretch] - self._stretch_speech[stretch]
        removed_s = removed / SAMPLE_RATE
        return PlacedWord(
            text=word.text,
            start_s=round(removed_s + word.start_s, 2),
            end_s=round(removed_s + word.end_s, 2),
            probability=word.probability,
            stretch=self._stretch_track[stretch],
        )

    def second_of(self, frames: int) -> float:
        """Return the second of the track at which frame `frames` of the speech sounds."""
        return self._track_sample(frames * FRAME) / SAMPLE_RATE

    def seq_at(self, track_s: float) -> int:
        """Return the chunk that sounds at `track_s` seconds, the nearest one outside the track."""
        at = bisect_right(self._chunk_ends, int(track_s * SAMPLE_RATE))
        return self._chunk_seqs[min(at, len(self._chunk_seqs) - 1)]

    def last_seq_before(self, frames: int) -> int | None:
        """Return the last chunk that is wholly behind frame `frames` of the speech, if any."""
        behind = bisect_right(self._chunk_ends, self._track_sample(frames * FRAME))
        return self._chunk_seqs[behind - 1] if behind else None
