"""The sound of one track as one timeline, with its silence cut out and a map back.

A timeline is a cache: the same blocks in the same order always give the same one, and what lies
behind the checkpoint is dropped, so memory does not grow with the length of a recording.
"""

from __future__ import annotations

import copy
from bisect import bisect_right
from dataclasses import dataclass
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
from interview_agent.stt.speech_gate import Piece, SpeechGate

if TYPE_CHECKING:
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


def _join(before: Samples, after: Samples) -> Samples:
    return np.concatenate((before, after)) if before.size else after


class Timeline:
    """One track: blocks go in, windows of speech come out, word times map back."""

    def __init__(self, model: SpeechModel, *, vad: bool) -> None:
        self._model = model
        self._vad = vad
        self._gate = SpeechGate()
        self._voice: VoiceState | None = None
        self._ended = False
        self.heard = 0
        """Samples of the track so far."""
        self.forgotten = 0
        """Windows from this frame on can still be had."""
        self._sound: Samples = np.empty(0, np.float32)
        self._sound_from = 0
        self._speech: Samples = np.empty(0, np.float32)
        self._speech_from = 0
        self._stretch_speech: list[int] = []
        self._stretch_track: list[int] = []
        self._chunk_ends: list[int] = []
        self._chunk_seqs: list[int] = []

    def fork(self) -> Timeline:
        """Return a timeline with the same past that goes its own way. Sound is shared."""
        twin = copy.copy(self)
        twin.__dict__.update(
            _gate=self._gate.fork(),
            _stretch_speech=list(self._stretch_speech),
            _stretch_track=list(self._stretch_track),
            _chunk_ends=list(self._chunk_ends),
            _chunk_seqs=list(self._chunk_seqs),
        )
        return twin

    async def hear(self, samples: Samples, seq: int) -> None:
        """Add the samples that chunk `seq` brought. Raises `SttError`."""
        self._sound = _join(self._sound, samples)
        self.heard += samples.size
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
            start = self._gate.steps * VOICE_SAMPLES - self._sound_from
            await self._find_voice(self._sound[start : start + steps * VOICE_SAMPLES])

    async def _find_voice(self, samples: Samples) -> None:
        probabilities, self._voice = await self._model.voice(samples, self._voice)
        self._gate.feed(probabilities.tolist())

    def _collect(self) -> None:
        """Move what is certainly speech to the speech, and drop what never will be."""
        for piece in self._pieces():
            if piece.opens:
                self._stretch_speech.append(self._speech_from + self._speech.size)
                self._stretch_track.append(piece.start)
            sound = self._sound[piece.start - self._sound_from : piece.end - self._sound_from]
            self._speech = _join(self._speech, sound)
        needed_from = self.heard
        if self._vad and not self._ended:
            needed_from = min(self._gate.needed_from(), self._gate.steps * VOICE_SAMPLES)
        self._sound = self._sound[needed_from - self._sound_from :].copy()
        self._sound_from = needed_from
        self._forget()

    def _pieces(self) -> list[Piece]:
        if self._vad:
            return self._gate.take(self.heard)
        return [Piece(self._sound_from, self.heard, opens=not self._stretch_speech)]

    async def end(self) -> None:
        """Say that no sound follows: all speech becomes certain. Raises `SttError`.

        The library pads the last step with zeros, adds a step of zeros where none is cut short,
        and clears the last 64 samples of that step; so does this, to hear the same voice.
        """
        if self._vad:
            last = np.zeros(VOICE_SAMPLES, np.float32)
            rest = self._sound[self._gate.steps * VOICE_SAMPLES - self._sound_from :]
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
        first = max(0, position.frames - CONTEXT_FRAMES)
        stop = position.frames + WINDOW_FRAMES + CONTEXT_FRAMES
        speech_end = self._speech_from + self._speech.size
        frames = min(WINDOW_FRAMES, speech_end // FRAME - position.frames)
        ends = speech_end < stop * FRAME
        if frames <= 0 or (ends and not self._ended):
            return None
        start = first * FRAME - self._speech_from
        return SpeechWindow(
            samples=self._speech[start : min(speech_end, stop * FRAME) - self._speech_from],
            lead_frames=position.frames - first,
            start_frame=position.frames,
            frames=frames,
            ends=ends,
            prompt=position.prompt,
            loudest=position.loudest,
            last_word_end_s=position.last_word_end_s,
            language=language or position.language,
        )

    def forget_before(self, frames: int) -> None:
        """Drop what no window from frame `frames` on can need, now and whenever it comes."""
        self.forgotten = max(self.forgotten, frames)
        self._forget()

    def _forget(self) -> None:
        # What is not there yet cannot be dropped: speech may end before the forgotten frame.
        speech_end = self._speech_from + self._speech.size
        start = min(speech_end, (self.forgotten - CONTEXT_FRAMES) * FRAME)
        if start <= self._speech_from:
            return
        self._speech = self._speech[start - self._speech_from :].copy()
        self._speech_from = start
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

    def seq_at(self, track_s: float) -> int:
        """Return the chunk that sounds at `track_s` seconds, the nearest one outside the track."""
        at = bisect_right(self._chunk_ends, int(track_s * SAMPLE_RATE))
        return self._chunk_seqs[min(at, len(self._chunk_seqs) - 1)]

    def last_seq_before(self, frames: int) -> int | None:
        """Return the last chunk that is wholly behind frame `frames` of the speech, if any."""
        behind = bisect_right(self._chunk_ends, self._track_sample(frames * FRAME))
        return self._chunk_seqs[behind - 1] if behind else None
