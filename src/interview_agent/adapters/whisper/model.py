"""The Whisper model as the speech model of the service."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from interview_agent.adapters.whisper.model_files import find_model
from interview_agent.adapters.whisper.voice import find_voice
from interview_agent.domain.errors import StartupError, SttError
from interview_agent.ports.speech import (
    Probabilities,
    SpeechModel,
    SpeechWindow,
    VoiceState,
    WindowResult,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from interview_agent.ports.audio import Samples

T = TypeVar("T")


class WhisperSpeechModel(SpeechModel):
    """One model in memory, heard by `threads` threads of its own at the same time."""

    def __init__(self, threads: int, reader: Any, session: Any, pool: ThreadPoolExecutor) -> None:
        self.threads = threads
        self._reader = reader
        self._session = session
        self._pool = pool

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
        pool = ThreadPoolExecutor(threads, thread_name_prefix="speech")
        load = partial(_load, size, data_dir, device, compute_type, beam_size, threads)
        try:
            reader, session = await asyncio.get_running_loop().run_in_executor(pool, load)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        return cls(threads, reader, session, pool)

    async def voice(
        self, samples: Samples, state: VoiceState | None
    ) -> tuple[Probabilities, VoiceState]:
        """Return the probability of voice in each step of `samples`; see the port."""
        return await self._run(partial(find_voice, self._session, samples, state))

    async def loudest(self, window: SpeechWindow) -> float:
        """Return the highest log10-mel value of a window; see the port."""
        value: float = await self._run(partial(self._reader.loudest, window))
        return value

    async def recognise(self, window: SpeechWindow) -> WindowResult:
        """Recognise one window; see the port."""
        result: WindowResult = await self._run(partial(self._reader.read, window))
        return result

    async def aclose(self) -> None:
        """Wait for the threads to finish what they do, and let them go."""
        await asyncio.to_thread(self._pool.shutdown, wait=True, cancel_futures=True)

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        except (RuntimeError, ValueError, MemoryError) as error:
            raise SttError(f"The recogniser failed: {error}") from error


def _load(
    size: str, data_dir: Path, device: str, compute_type: str, beam_size: int, threads: int
) -> tuple[Any, Any]:
    path = find_model(size, data_dir)
    # Slow to import, and of no use to roles that recognise nothing.
    from faster_whisper import WhisperModel  # noqa: PLC0415
    from faster_whisper.vad import get_vad_model  # noqa: PLC0415

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
    reader = WindowReader(whisper, model_path=str(path), beam_size=beam_size)
    return reader, get_vad_model().session
