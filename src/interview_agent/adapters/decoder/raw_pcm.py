"""Raw samples that already have the right rate: no child is needed to read them."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from interview_agent.domain.errors import BadAudio
from interview_agent.ports.audio import SAMPLE_RATE, Samples

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

_BLOCK_FRAMES = 10 * SAMPLE_RATE
_FULL_SCALE = 32_768.0


class RawPcm:
    """s16le interleaved samples at SAMPLE_RATE, cut anywhere, even within a sample."""

    def __init__(self, channels: int, channel: int | None, max_samples: int) -> None:
        self._channels = channels
        self._channel = channel
        self._left = max_samples
        self._rest = b""

    async def feed(self, part: BinaryIO) -> AsyncGenerator[Samples, None]:
        """Yield the whole frames of a part and of what the part before left over."""
        frame_bytes = 2 * self._channels
        position = 0
        while True:
            wanted = _BLOCK_FRAMES * frame_bytes - len(self._rest)
            found = await asyncio.to_thread(os.pread, part.fileno(), wanted, position)
            if not found:
                return
            position += len(found)
            held = self._rest + found
            whole = len(held) // frame_bytes * frame_bytes
            self._rest = held[whole:]
            if whole:
                yield self._mono(held[:whole])

    def _mono(self, frames: bytes) -> Samples:
        samples = np.frombuffer(frames, dtype="<i2").reshape(-1, self._channels)
        self._left -= len(samples)
        if self._left < 0:
            raise BadAudio("The audio is too long.", details={"reason": "too_long"})
        if self._channel is not None or self._channels == 1:
            picked = samples[:, self._channel or 0].astype(np.float32)
        else:
            # Rounded as libav rounds, so that raw samples sound like the same ones in a wav.
            picked = np.floor(samples.mean(axis=1, dtype=np.float32) + np.float32(0.5))
        return picked / np.float32(_FULL_SCALE)
