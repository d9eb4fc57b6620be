"""The voices of a meeting that nobody holds: files that are said at the pace of speech."""

from __future__ import annotations

import wave
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from interview_agent.domain.errors import BadAudio
from interview_agent.ports.connector import Participant

if TYPE_CHECKING:
    from collections.abc import Sequence

CHUNK_S = 1

_SAMPLE_BYTES = 2
_NOBODY_IN_PARTICULAR = "MockUser"


@dataclass(frozen=True, slots=True)
class MockVoice:
    """A participant and the wav file, in 16 bits, of what they say; `frames` is its length."""

    participant: Participant
    path: Path
    sample_rate: int
    channels: int
    frames: int

    @property
    def ends_s(self) -> Sequence[float]:
        """When each chunk has been said, in seconds after the beginning."""
        step = self.sample_rate * CHUNK_S
        return [
            min(at + step, self.frames) / self.sample_rate for at in range(0, self.frames, step)
        ]

    def chunk(self, number: int) -> bytes:
        """Return the samples of a chunk. Raises `OSError` where the file is gone."""
        with wave.open(str(self.path), "rb") as file:
            file.setpos(number * CHUNK_S * self.sample_rate)
            return file.readframes(CHUNK_S * self.sample_rate)


def open_voices(items: Sequence[str]) -> tuple[MockVoice, ...]:
    """Open files, each named as `path` or `name=path`. Raises `BadAudio` that names the file."""
    voices = []
    for number, item in enumerate(items, start=1):
        name, named, path = item.partition("=")
        if not named:
            name, path = _NOBODY_IN_PARTICULAR, item
        participant = Participant(f"mock-{number}", name.strip() or None)
        voices.append(_open(participant, Path(path.strip())))
    return tuple(voices)


def _open(participant: Participant, path: Path) -> MockVoice:
    try:
        with wave.open(str(path), "rb") as file:
            if file.getsampwidth() != _SAMPLE_BYTES:
                message = f"{path} is no wav file in 16 bits"
                raise BadAudio(message)
            return MockVoice(
                participant, path, file.getframerate(), file.getnchannels(), file.getnframes()
            )
    except (OSError, EOFError, wave.Error) as error:
        message = f"{path} is no wav file that can be read"
        raise BadAudio(message) from error
