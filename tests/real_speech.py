"""The real model, real speech, and plain faster-whisper to compare with."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pytest
import pytest_asyncio
from faster_whisper.audio import decode_audio

from interview_agent.adapters.whisper.model import WhisperSpeechModel
from interview_agent.adapters.whisper.model_files import find_model
from memory_folder import memory_folder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

ROOT = Path(__file__).parent.parent
Track = npt.NDArray[np.int16]
"""Mono samples at 16 kHz."""


@pytest.fixture(scope="session")
def model_folder() -> Iterator[Path]:
    """Whisper base, joined from its packages."""
    folder = memory_folder("model")
    try:
        yield find_model("base", folder)
    finally:
        shutil.rmtree(folder)


@pytest_asyncio.fixture(scope="session")
async def speech_model(model_folder: Path) -> AsyncIterator[WhisperSpeechModel]:
    """Whisper base with two threads."""
    model = await WhisperSpeechModel.load(
        size=str(model_folder), data_dir=model_folder.parent, threads=2
    )
    yield model
    await model.aclose()


def recording(name: str, channel: int | None = None) -> Track:
    """Read a file of the tests or of the sample."""
    path = next(
        p for p in (ROOT / "tests/data" / name, ROOT / "config/sample" / name) if p.exists()
    )
    sound = decode_audio(str(path), split_stereo=channel is not None)
    mono = sound if channel is None else sound[channel]
    return np.round(mono * 32768).clip(-32768, 32767).astype(np.int16)


def silence(seconds: float) -> Track:
    """Digital silence."""
    return np.zeros(int(seconds * 16000), np.int16)


def plain_words(
    model: WhisperSpeechModel, track: Track, language: str | None
) -> list[tuple[str, float, float]]:
    """Return what plain faster-whisper hears in the whole recording: word, start, end."""
    segments, _ = (
        model.__dict__["_reader"]
        .__dict__["_whisper"]
        .transcribe(
            track.astype(np.float32) / 32768,
            language=language,
            beam_size=1,
            vad_filter=True,
            word_timestamps=True,
        )
    )
    return normal([(w.word, w.start, w.end) for s in segments for w in s.words])


def normal(words: Sequence[tuple[str, float, float]]) -> list[tuple[str, float, float]]:
    """Return the words in small letters, without punctuation, ё as е."""
    return [
        (part, start, end)
        for text, start, end in words
        for part in re.sub(r"[^\w\s]", "", text.lower().replace("ё", "е")).split()
    ]


def heard_words(segments: Sequence[Any]) -> list[tuple[str, float, float]]:
    """Return the words of our segments in the same form."""
    return normal([(w.text, w.start_s, w.end_s) for s in segments for w in s.words])
