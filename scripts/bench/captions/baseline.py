"""Runs plain faster-whisper beside the service: as reference for the words and as baseline."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from captions.delays import Caption, Delays, committed_words, measure
from captions.words import TimedWord, timed

if TYPE_CHECKING:
    from captions.recordings import Recording

PENDING = "pending"


class BaselineError(Exception):
    """Plain faster-whisper did not come to its end."""


@dataclass(frozen=True)
class Batch:
    """What a batch pass heard and cost."""

    words: tuple[TimedWord, ...]
    language: str
    cpu_s: float


@dataclass(frozen=True)
class BaselineStream:
    """What the baseline gave and cost for one stream."""

    recording: Recording
    threads: int
    delays: Delays
    committed: list[TimedWord]
    hearings: int
    cpu_s: float

    @property
    def cpu_per_audio_s(self) -> float:
        """CPU seconds for a second of audio."""
        return self.cpu_s / self.recording.seconds


@dataclass(frozen=True)
class PlainWhisper:
    """Runs each pass in a process of its own."""

    folder: Path
    model: Path
    threads: int

    async def batch(self, recording: Recording) -> Batch:
        """Hear the whole recording at once: beam 1, voice detection, windows of 30 s."""
        heard = await self._run("batch", recording, self.threads)
        return Batch(timed(heard["words"]), str(heard["language"]), float(heard["cpu_s"]))

    async def live(self, recording: Recording, threads: int | None = None) -> BaselineStream:
        """Hear the recording at real-time pace with LocalAgreement-2 and padded windows."""
        threads = threads or self.threads
        heard = await self._run("live", recording, threads)
        captions = _captions(heard["captions"])
        return BaselineStream(
            recording=recording,
            threads=threads,
            delays=measure(recording.words, captions),
            committed=committed_words(captions),
            hearings=len(heard["captions"]) - 1,
            cpu_s=float(heard["cpu_s"]),
        )

    async def _run(self, way: str, recording: Recording, threads: int) -> dict[str, Any]:
        file = self.folder / "baseline.npy"
        await asyncio.to_thread(np.save, file, recording.samples)
        options = ["--model", str(self.model), "--threads", str(threads)]
        options += ["--language", recording.language] if recording.language else []
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "captions.plain_whisper", way, *options, str(file)),
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            output, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
        if process.returncode != 0:
            message = f"plain faster-whisper ended with code {process.returncode}"
            raise BaselineError(message)
        answer: dict[str, Any] = json.loads(output)
        return answer


def _captions(steps: list[dict[str, Any]]) -> list[Caption]:
    """Return the steps as captions: what is committed as segments, what is pending as one more."""
    captions = []
    for number, step in enumerate(steps):
        committed, pending = timed(step["committed"]), timed(step["pending"])
        if committed:
            captions.append(Caption(step["at_s"], f"step-{number}", committed, durable=True))
        captions.append(Caption(step["at_s"], PENDING, pending, durable=False))
    return captions
