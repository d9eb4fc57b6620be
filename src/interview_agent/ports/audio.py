"""Decoding of untrusted audio bytes into samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, Protocol

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SAMPLE_RATE = 16_000
"""Samples a second of everything that leaves a decoder."""

Samples = npt.NDArray[np.float32]
"""Mono samples at SAMPLE_RATE, -1 to 1, shape (n,)."""


class AudioStream(Protocol):
    """One encoded stream that arrives in parts."""

    def feed(self, part: BinaryIO) -> AsyncIterator[Samples]:
        """Decode the next part and yield blocks until the decoder wants more bytes.

        `part` is a real open file at offset 0; the stream reads it and the caller closes it after
        the iteration. Blocks are at most 10 s long. Raises `BadAudio` when the stream cannot be
        read any further, `Backpressure`, `SttError` or `StorageError` when that is not the
        fault of the audio; what was yielded before stands.
        """
        ...

    def finish(self) -> AsyncIterator[Samples]:
        """Say that no part follows and yield what was still held back. Raises as `feed` does."""
        ...

    async def aclose(self) -> None:
        """Let go of everything the stream holds; harmless when repeated."""
        ...


class AudioDecoder(Protocol):
    """Opens streams of any supported codec."""

    async def open(
        self, *, codec: str, sample_rate: int, channels: int, channel: int | None
    ) -> AudioStream:
        """Open a stream.

        `codec` is `pcm` (s16le, interleaved) or `auto` (the container says). `sample_rate` and
        `channels` describe pcm alone. `channel` picks one channel from 0; None mixes all of them.
        """
        ...
