"""Where live sound comes from: a file at its own pace, standard input, a microphone."""

from __future__ import annotations

import asyncio
import os
import threading
import wave
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import av
import numpy as np

from interview_agent.domain.errors import BadAudio
from interview_agent.domain.upload import PCM_SAMPLE_BYTES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

PIECE_S = 0.1
SAMPLE_RATE = 16_000

_PIECES_AHEAD = 8
_DEMUXERS = "wav,mp3,ogg,matroska,webm,mov,mp4,m4a,flac,aac,aiff"


@dataclass(frozen=True, slots=True)
class Sound:
    """Interleaved s16le samples that come piece by piece.

    `pieces` blocks its thread while it waits for a device or a pipe. `has_own_pace` says that it
    gives as much as was said so far; otherwise it gives all there is.
    """

    sample_rate: int
    channels: int
    pieces: Iterator[bytes]
    has_own_pace: bool


def open_file(path: Path) -> Sound:
    """Open a recording: wav in 16 bits as it is, anything else through the decoder.

    Raises `BadAudio`, or `OSError` where there is no such file.
    """
    with suppress(wave.Error, EOFError):
        file = wave.open(str(path), "rb")  # noqa: SIM115 - whoever reads the pieces closes it
        if file.getsampwidth() == PCM_SAMPLE_BYTES:
            return Sound(file.getframerate(), file.getnchannels(), _wav(file), has_own_pace=False)
        file.close()
    try:
        container = av.open(str(path), options={"format_whitelist": _DEMUXERS})
        stream = container.streams.audio[0]
    except (av.FFmpegError, IndexError) as error:
        message = f"{path} holds no sound that can be read"
        raise BadAudio(message) from error
    channels = min(stream.channels, 2)
    return Sound(SAMPLE_RATE, channels, _decoded(container, channels), has_own_pace=False)


def open_raw(descriptor: int, sample_rate: int, channels: int) -> Sound:
    """Read s16le samples from a pipe until it ends."""
    pieces = _raw(descriptor, int(PIECE_S * sample_rate), channels * PCM_SAMPLE_BYTES)
    return Sound(sample_rate, channels, pieces, has_own_pace=True)


def open_microphone() -> Sound:
    """Listen to the default microphone; raises `BadAudio` that says what to install."""
    try:
        import sounddevice  # noqa: PLC0415 - optional
    except (ImportError, OSError) as error:
        raise BadAudio(
            "the microphone needs PortAudio and its Python package: "
            "apt install libportaudio2, pip install sounddevice"
        ) from error
    return Sound(SAMPLE_RATE, 1, _microphone(sounddevice), has_own_pace=True)


async def in_real_time(sound: Sound, stop: asyncio.Event) -> AsyncIterator[bytes]:
    """Yield the pieces as somebody who speaks would give them, until the end or `stop`.

    Whoever takes them late gets them late; none is lost.
    """
    loop = asyncio.get_running_loop()
    bytes_per_s = sound.sample_rate * sound.channels * PCM_SAMPLE_BYTES
    began_s, said_bytes = loop.time(), 0
    reader = _ThreadReader(sound.pieces)
    stopping = asyncio.create_task(stop.wait())
    try:
        while (piece := await reader.next_piece(stopping)) is not None:
            said_bytes += len(piece)
            if not sound.has_own_pace:
                due_s = began_s + said_bytes / bytes_per_s
                await asyncio.wait({stopping}, timeout=max(due_s - loop.time(), 0))
            if stopping.done():
                return
            yield piece
    finally:
        stopping.cancel()
        reader.abandon()


def split(piece: bytes, channels: int) -> list[bytes]:
    """Return each channel of interleaved samples."""
    samples = np.frombuffer(piece, "<i2").reshape(-1, channels)
    return [samples[:, each].tobytes() for each in range(channels)]


def mix(piece: bytes, channels: int) -> bytes:
    """Return the mean of all channels of interleaved samples."""
    if channels == 1:
        return piece
    samples = np.frombuffer(piece, "<i2").reshape(-1, channels)
    return bytes(samples.mean(axis=1).astype("<i2"))


class _ThreadReader:
    """Reads pieces ahead in a daemon thread, so that a silent pipe keeps nobody from leaving."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._loop = asyncio.get_running_loop()
        self._read: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()
        self._room = threading.Semaphore(_PIECES_AHEAD)
        self._abandoned = False
        threading.Thread(target=self._run, name="sound", daemon=True).start()

    async def next_piece(self, stopping: asyncio.Task[Any]) -> bytes | None:
        """Return the next piece, None at the end or when `stopping` is done first."""
        reading = asyncio.create_task(self._read.get())
        await asyncio.wait({reading, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not reading.done():
            reading.cancel()
            return None
        self._room.release()
        piece = reading.result()
        if isinstance(piece, Exception):
            raise BadAudio("the sound cannot be read any further") from piece
        return piece

    def abandon(self) -> None:
        """Let the thread end."""
        self._abandoned = True
        self._room.release()

    def _run(self) -> None:
        last: Exception | None = None
        try:
            for piece in self._pieces:
                self._room.acquire()
                if self._abandoned:
                    return
                self._pass_on(piece)
        except (OSError, EOFError, wave.Error, av.FFmpegError) as error:
            last = error
        self._pass_on(last)

    def _pass_on(self, piece: bytes | Exception | None) -> None:
        # The loop may have ended while the device was waited for.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._read.put_nowait, piece)


def _wav(file: wave.Wave_read) -> Iterator[bytes]:
    with closing(file):
        while piece := file.readframes(int(PIECE_S * file.getframerate())):
            yield piece


def _decoded(container: Any, channels: int) -> Iterator[bytes]:
    sample_bytes = channels * PCM_SAMPLE_BYTES
    size = int(PIECE_S * SAMPLE_RATE) * sample_bytes
    resampler = av.AudioResampler("s16", "mono" if channels == 1 else "stereo", SAMPLE_RATE)
    kept = bytearray()
    with closing(container):
        for frame in _frames(container):
            for resampled in resampler.resample(frame):
                kept += bytes(resampled.planes[0])[: resampled.samples * sample_bytes]
            while len(kept) >= size:
                yield bytes(kept[:size])
                del kept[:size]
    if kept:
        yield bytes(kept)


def _frames(container: Any) -> Iterator[Any]:
    yield from container.decode(audio=0)
    yield None


def _raw(descriptor: int, samples: int, sample_bytes: int) -> Iterator[bytes]:
    kept = b""
    while received := os.read(descriptor, samples * sample_bytes - len(kept)):
        kept += received
        if len(kept) == samples * sample_bytes:
            yield kept
            kept = b""
    if whole := kept[: len(kept) - len(kept) % sample_bytes]:
        yield whole


def _microphone(library: Any) -> Iterator[bytes]:
    block = int(PIECE_S * SAMPLE_RATE)
    options = {"samplerate": SAMPLE_RATE, "channels": 1, "dtype": "int16", "blocksize": block}
    with library.RawInputStream(**options) as stream:
        while True:
            piece, _ = stream.read(block)
            yield bytes(piece)
