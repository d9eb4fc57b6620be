"""The Whisper model as the speech model of the service."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from interview_agent.adapters.whisper.engine import SpeechThreads, Urgency
from interview_agent.adapters.whisper.model_files import find_model
from interview_agent.adapters.whisper.voice import find_voice
from interview_agent.domain.errors import StartupError
from interview_agent.ports.audio import SAMPLE_RATE
from interview_agent.ports.captions import CaptionModel, CaptionResult, CaptionWindow
from interview_agent.ports.speech import (
    Probabilities,
    SpeechModel,
    SpeechWindow,
    VoiceState,
    WindowResult,
)

if TYPE_CHECKING:
    from pathlib import Path

    from interview_agent.adapters.whisper.captions import CaptionReader
    from interview_agent.adapters.whisper.window import WindowReader
    from interview_agent.ports.audio import Samples

_KERNELS_KEPT = 8
"""The library that CTranslate2 computes convolutions with makes a kernel of some 1.3 MB for every
length of sound, and keeps 1024 of them: captions, whose windows have all lengths, would fill it."""
_TRIAL_SAMPLES = 4 * SAMPLE_RATE
_WORDS_COST = 2.5
"""A window with words takes so many times as long as one without."""


@dataclass(frozen=True, slots=True)
class _Loaded:
    reader: WindowReader
    caption_reader: CaptionReader
    session: Any


class WhisperCaptionModel(CaptionModel):
    """The side of the model that live tracks use: they are heard before all recordings."""

    def __init__(self, session: Any, threads: SpeechThreads) -> None:
        self._session = session
        self._threads = threads

    @property
    def busy_s(self) -> float:
        """Seconds that the threads have spent on live sound so far, all together."""
        return self._threads.live_busy_s

    @property
    def threads(self) -> int:
        """Threads that hear."""
        return self._threads.threads

    async def stream_load(self) -> float:
        """Return the thread seconds that a second of conversation is likely to cost here.

        Two windows of silence are recognised as if they were speech; a window is due for every
        second or so of it, and in a conversation each side is silent half of the time.
        """
        window = CaptionWindow(np.zeros(_TRIAL_SAMPLES, np.float32), "en", final=False)
        started = time.perf_counter()
        for _ in range(2):
            await self.caption(window)
        return max((time.perf_counter() - started) / 2 * _WORDS_COST / 2, 0.01)

    async def voice(
        self, samples: Samples, state: VoiceState | None
    ) -> tuple[Probabilities, VoiceState]:
        """Return the probability of voice in each step of `samples`; see the port."""
        work = partial(find_voice, self._session, samples, state)
        return await self._threads.run(Urgency.VOICE, work)

    async def caption(self, window: CaptionWindow) -> CaptionResult:
        """Recognise a short window; see the port."""
        return await self._threads.caption(window)


class WhisperSpeechModel(SpeechModel):
    """One model in memory, heard by `threads` threads of its own at the same time."""

    def __init__(self, loaded: _Loaded, threads: SpeechThreads) -> None:
        self._reader = loaded.reader
        self._session = loaded.session
        self._threads = threads
        threads.read_captions_with(loaded.caption_reader.read)
        self.captions = WhisperCaptionModel(loaded.session, threads)
        """The same model for live tracks."""

    @classmethod
    async def load(
        cls,
        *,
        size: str,
        data_dir: Path,
        device: str = "cpu",
        compute_type: str = "int8",
        beam_size: int = 1,
        threads: int = 2,
    ) -> WhisperSpeechModel:
        """Find, check and load the model named `size`, a name or a folder.

        Each of `threads` threads hears one window at a time on one core. Raises `StartupError`
        with a sentence that says what to do.
        """
        load = partial(_load, size, data_dir, device, compute_type, beam_size, threads)
        loaded = await asyncio.to_thread(load)
        return cls(loaded, SpeechThreads(threads))

    @property
    def busy_s(self) -> float:
        """Seconds that the threads have spent on recordings so far, all together."""
        return self._threads.recording_busy_s

    async def voice(
        self, samples: Samples, state: VoiceState | None
    ) -> tuple[Probabilities, VoiceState]:
        """Return the probability of voice in each step of `samples`; see the port."""
        work = partial(find_voice, self._session, samples, state)
        return await self._threads.run(Urgency.RECORDING, work)

    async def loudest(self, window: SpeechWindow) -> float:
        """Return the highest log10-mel value of a window; see the port."""
        work = partial(self._reader.loudest, window)
        return await self._threads.run(Urgency.RECORDING, work)

    async def recognise(self, window: SpeechWindow) -> WindowResult:
        """Recognise one window; see the port."""
        work = partial(self._reader.read, window)
        return await self._threads.run(Urgency.RECORDING, work)

    async def aclose(self) -> None:
        """Wait for the threads to finish what they do, and let them go."""
        await self._threads.aclose()


def _load(
    size: str, data_dir: Path, device: str, compute_type: str, beam_size: int, threads: int
) -> _Loaded:
    path = find_model(size, data_dir)
    # Read by the library when it makes its first kernel.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(_KERNELS_KEPT))
    # Slow to import, and of no use to roles that recognise nothing.
    from faster_whisper import WhisperModel  # noqa: PLC0415
    from faster_whisper.vad import get_vad_model  # noqa: PLC0415

    from interview_agent.adapters.whisper.captions import CaptionReader  # noqa: PLC0415
    from interview_agent.adapters.whisper.window import WindowReader  # noqa: PLC0415

    try:
        whisper = WhisperModel(
            str(path),
            device=device,
            compute_type=compute_type,
            cpu_threads=1,
            num_workers=threads,
            local_files_only=True,
        )
    except (RuntimeError, ValueError) as error:
        raise StartupError(
            f"The speech model in {path} cannot be loaded on device {device!r} as "
            f"{compute_type!r}: {error}. Check WHISPER_MODEL_SIZE, WHISPER_DEVICE and "
            "WHISPER_COMPUTE_TYPE."
        ) from error
    return _Loaded(
        reader=WindowReader(whisper, model_path=str(path), beam_size=beam_size),
        caption_reader=CaptionReader(whisper),
        session=get_vad_model().session,
    )
