"""A track made of numbers, and a recogniser, a decoder and a store that need no model.

Chunks are s16le samples. Loud samples are speech. A stand-in window gives one word for each half
second of speech, named after its loudness, so that a lost or doubled sample changes the text.
"""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from interview_agent.domain.errors import BadAudio, NotFound, StorageError
from interview_agent.ports.audio import AudioStream, Samples
from interview_agent.ports.speech import (
    FRAME,
    VOICE_SAMPLES,
    Probabilities,
    SpeechModel,
    SpeechWindow,
    SpokenWord,
    VoiceState,
    WindowResult,
)
from interview_agent.ports.transcriber import AudioPart, TrackInput, TrackProgress, Transcriber

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

WORD_SAMPLES = 8000


class CountingModel(SpeechModel):
    """Hears loudness, and counts how often it was asked."""

    def __init__(self) -> None:
        self.windows = 0

    async def voice(
        self, samples: Samples, state: VoiceState | None
    ) -> tuple[Probabilities, VoiceState]:
        """Say that loud steps are speech."""
        steps = samples.reshape(-1, VOICE_SAMPLES)
        nothing = np.zeros((1, 1, 128), np.float32)
        state = state or VoiceState(nothing, nothing, samples[:64])
        return (np.abs(steps).max(axis=1) > 0.01).astype(np.float32), state

    async def loudest(self, window: SpeechWindow) -> float:
        """Return the logarithm of the highest sample."""
        return float(np.log10(np.abs(window.samples).max() + 1e-10))

    async def recognise(self, window: SpeechWindow) -> WindowResult:
        """Give a word for each half second, spelled from loudness and the ceiling."""
        self.windows += 1
        loudest = max(window.loudest or -10.0, await self.loudest(window))
        lead = window.lead_frames * FRAME
        heard = window.samples[lead : lead + window.frames * FRAME]
        stop = heard.size if window.ends else heard.size - 3 * WORD_SAMPLES // 2
        starts = range(0, stop, WORD_SAMPLES)
        words = tuple(
            SpokenWord(
                text=f" {np.abs(heard[at : at + WORD_SAMPLES]).sum():.1f}/{loudest:.2f}",
                start_s=window.start_frame / 100 + at / 16000,
                end_s=window.start_frame / 100 + min(at + WORD_SAMPLES, heard.size) / 16000,
                probability=0.5,
            )
            for at in starts
        )
        frames = min(window.frames, len(starts) * WORD_SAMPLES // FRAME)
        return WindowResult(
            words=words,
            tokens=(len(words), *window.prompt[:1]),
            next_frame=window.start_frame + max(frames, 1),
            temperature=0.0,
            silent=False,
            loudest=loudest,
            last_word_end_s=words[-1].end_s if words else window.last_word_end_s,
            language=window.language or "xx",
        )

    async def aclose(self) -> None:
        """Nothing is held."""


@dataclass
class MemoryBlobs:
    """Blobs as temporary files, with a count of how often each was opened.

    Without any blob the store is down; `unreadable` ones can be opened, but not read.
    """

    blobs: dict[str, bytes] = field(default_factory=dict)
    opened: list[str] = field(default_factory=list)
    unreadable: set[str] = field(default_factory=set)

    async def put(self, key: str, body: bytes) -> None:
        """Keep the bytes."""
        self.blobs[key] = body

    async def open(self, key: str) -> BinaryIO:
        """Open the bytes as a real file."""
        if not self.blobs:
            raise StorageError
        if key not in self.blobs:
            raise NotFound
        self.opened.append(key)
        if key in self.unreadable:
            return write_only(self.blobs[key])
        file = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
        file.write(self.blobs[key])
        file.seek(0)
        return file


def write_only(body: bytes) -> BinaryIO:
    """Return an open file of the right length that every attempt to read fails on."""
    with tempfile.NamedTemporaryFile() as named:
        file = Path(named.name).open("wb")  # noqa: SIM115 - the caller closes it
    file.write(body)
    file.flush()
    return file


class ScriptedStream(AudioStream):
    """Decodes raw samples; a chunk of text is an order to fail.

    `bad` breaks at once, `half` after a hundred samples, `crash` as long as the decoder has
    crashes left. A chunk that begins with fLaC starts a stream of its own; `hold` in it keeps
    its samples back until the end.
    """

    def __init__(self, decoder: ScriptedDecoder) -> None:
        self._decoder = decoder
        self._held: list[Samples] = []
        decoder.open_streams += 1

    async def feed(self, part: BinaryIO) -> AsyncIterator[Samples]:
        """Yield the samples of the part."""
        body = part.read().removeprefix(b"fLaC")
        if body.startswith(b"half"):
            yield np.full(100, 0.5, np.float32)
        if body.startswith((b"half", b"bad!")):
            raise BadAudio(details={"reason": "undecodable"})
        if body.startswith(b"crash!") and self._decoder.crashes:
            self._decoder.crashes -= 1
            raise BadAudio(details={"reason": "crashed"})
        samples = _samples(body.removeprefix(b"crash!").removeprefix(b"hold"))
        if body.startswith(b"hold"):
            self._held.append(samples)
            return
        for at in range(0, samples.size, 5000):
            yield samples[at : at + 5000]

    async def finish(self) -> AsyncIterator[Samples]:
        """Yield what was held back."""
        for samples in self._held:
            yield samples

    async def aclose(self) -> None:
        """Count the stream out."""
        self._decoder.open_streams -= 1


class ScriptedDecoder:
    """Opens scripted streams."""

    def __init__(self, crashes: int = 0) -> None:
        self.crashes = crashes
        self.open_streams = 0

    async def open(self, **_form: object) -> AudioStream:
        """Open a stream of any kind."""
        return ScriptedStream(self)


def _samples(body: bytes) -> Samples:
    return np.frombuffer(body, np.dtype("<i2")).astype(np.float32) / 32768


def speech(seconds: float, loudness: float, seed: int = 0) -> bytes:
    """Return s16le noise of a loudness from 0 to 1; zero is silence."""
    noise = np.random.default_rng(seed).uniform(-1, 1, int(seconds * 16000))
    return (noise * loudness * 32767).astype("<i2").tobytes()


def chunks_of(body: bytes, seconds: float) -> list[bytes]:
    """Cut s16le samples into chunks of so many seconds."""
    step = 2 * int(seconds * 16000)
    return [body[at : at + step] for at in range(0, len(body), step)]


def part_of(seq: int, key: str, chunk: bytes, codec: str = "pcm") -> AudioPart:
    """Return the part that chunk `seq` is, stored under `key`."""
    digest = hashlib.sha256(chunk).hexdigest()
    return AudioPart(seq, key, len(chunk), digest, codec, 16000, 1, None)


async def store(
    blobs: MemoryBlobs, chunks: Sequence[bytes], codec: str = "pcm"
) -> tuple[AudioPart, ...]:
    """Store the chunks and return them as the parts of a track."""
    parts = []
    for seq, chunk in enumerate(chunks):
        await blobs.put(f"blob-{seq}", chunk)
        parts.append(part_of(seq, f"blob-{seq}", chunk, codec))
    return tuple(parts)


@dataclass
class Written:
    """The transcript that a caller keeps: segments, checkpoint and what it was told."""

    segments: list[object] = field(default_factory=list)
    checkpoint: dict[str, object] | None = None
    failed: dict[int, str] = field(default_factory=dict)
    steps: list[TrackProgress] = field(default_factory=list)

    def commit(self, progress: TrackProgress) -> None:
        """Keep one step."""
        self.segments = [*self.segments[: progress.keep], *progress.segments]
        self.checkpoint = progress.checkpoint
        self.failed.update({part.seq: part.reason for part in progress.failed})
        self.steps.append(progress)

    @property
    def text(self) -> str:
        """All text so far."""
        return " ".join(segment.text for segment in self.segments)  # type: ignore[attr-defined]  # DraftSegment


async def write_down(
    transcriber: Transcriber,
    parts: Sequence[AudioPart],
    written: Written | None = None,
    *,
    closed: bool = True,
    most_steps: int | None = None,
    language: str | None = "en",
) -> Written:
    """Advance a track and commit what comes, at most so many steps."""
    written = written or Written()
    left = tuple(part for part in parts if part.seq not in written.failed)
    track = TrackInput("m", "t", language, left, closed, written.checkpoint)
    steps = transcriber.advance(track)
    try:
        async for progress in steps:
            written.commit(progress)
            if most_steps is not None and len(written.steps) >= most_steps:
                break
    finally:
        await steps.aclose()  # type: ignore[attr-defined]  # both are generators
    return written
