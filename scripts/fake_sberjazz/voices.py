"""Participants who say what stands in wav files."""

from __future__ import annotations

import wave
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Voice:
    """A participant and their s16le samples; every chunk but the last takes `chunk_ms`."""

    participant_id: str
    name: str
    samples: bytes
    sample_rate: int = 16_000
    channels: int = 1
    chunk_ms: int = 1000

    @property
    def chunk_bytes(self) -> int:
        """The size of a chunk."""
        return self.sample_rate * self.chunk_ms // 1000 * self.channels * 2

    @property
    def chunks(self) -> int:
        """How many chunks there are."""
        return -(-len(self.samples) // self.chunk_bytes)

    def chunk(self, number: int) -> bytes:
        """Return one chunk."""
        return self.samples[number * self.chunk_bytes : (number + 1) * self.chunk_bytes]

    def end_ms(self, number: int) -> int:
        """When a chunk has been said, counted from the beginning."""
        return number * self.chunk_ms + self.length_ms(number)

    def length_ms(self, number: int) -> int:
        """How long a chunk takes."""
        return len(self.chunk(number)) * self.chunk_ms // self.chunk_bytes


def read_voice(name: str, path: Path, *, participant_id: str | None = None, **form: int) -> Voice:
    """Read the samples of a wav file in 16 bits."""
    with wave.open(str(path), "rb") as file:
        if file.getsampwidth() != 2:
            message = f"{path} is not in 16 bits"
            raise ValueError(message)
        samples = file.readframes(file.getnframes())
        return Voice(
            participant_id or f"p-{name}",
            name,
            samples,
            file.getframerate(),
            file.getnchannels(),
            **form,
        )
