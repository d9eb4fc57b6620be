"""Driving a decoder from bytes in memory."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING, Any

import numpy as np

from interview_agent.ports.audio import SAMPLE_RATE, AudioDecoder, AudioStream, Samples

if TYPE_CHECKING:
    from collections.abc import Iterable

BLOCK_LIMIT = 10 * SAMPLE_RATE
AUTO: dict[str, Any] = {"codec": "auto", "sample_rate": 0, "channels": 0, "channel": None}
"""What to open when the container says it all."""


async def feed(stream: AudioStream, part: bytes) -> list[Samples]:
    """Feed one part and return its blocks."""
    with tempfile.TemporaryFile() as file:
        file.write(part)
        file.seek(0)
        return [block async for block in stream.feed(file)]


async def decode(decoder: AudioDecoder, parts: Iterable[bytes], **wanted: Any) -> Samples:
    """Decode a stream from its parts and hold every block to the promise of the port."""
    stream = await decoder.open(**{**AUTO, **wanted})
    blocks: list[Samples] = []
    try:
        for part in parts:
            blocks += await feed(stream, part)
        blocks += [block async for block in stream.finish()]
    finally:
        await stream.aclose()
    assert all(0 < len(block) <= BLOCK_LIMIT and block.dtype == np.float32 for block in blocks)
    return np.concatenate([np.zeros(0, np.float32), *blocks])
