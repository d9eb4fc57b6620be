"""What a speech recogniser does with samples: it finds voice, and words in a window of speech."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from interview_agent.ports.audio import Samples

FRAME = 160
"""Samples in one frame of features: 10 ms."""

WINDOW_FRAMES = 3000
"""Frames that the recogniser hears at once: 30 s."""

CONTEXT_FRAMES = 3
"""Frames of real sound on either side that make the features of a window exact."""

VOICE_SAMPLES = 512
"""Samples in one step of voice detection: 32 ms."""

Probabilities = npt.NDArray[np.float32]
"""Probability of voice for each step of VOICE_SAMPLES, shape (n,)."""


@dataclass(frozen=True, slots=True)
class VoiceState:
    """What voice detection remembers between two calls.

    `hidden` and `cell` are the network's memory, shape (1, 1, 128); `context` is the last 64
    samples that it heard. Arrays are never changed in place.
    """

    hidden: npt.NDArray[np.float32]
    cell: npt.NDArray[np.float32]
    context: Samples


@dataclass(frozen=True, slots=True)
class SpeechWindow:
    """A stretch of speech to recognise, with what the recogniser knew before it.

    `samples` begin `lead_frames` before frame `start_frame` of the speech; `frames` of them
    (at most WINDOW_FRAMES) are to be heard. `ends` says that the samples reach the end of the
    speech, else CONTEXT_FRAMES follow. `prompt` are the tokens before the window, `loudest` the
    highest log10-mel value so far, `last_word_end_s` the end of the last word. A `language` of
    None is to be detected.
    """

    samples: Samples
    lead_frames: int
    start_frame: int
    frames: int
    ends: bool
    prompt: tuple[int, ...] = ()
    loudest: float | None = None
    last_word_end_s: float = 0.0
    language: str | None = None


@dataclass(frozen=True, slots=True)
class SpokenWord:
    """One word as the recogniser wrote it, its leading space included.

    Times are seconds from the start of the speech; `probability` is None where there is none.
    """

    text: str
    start_s: float
    end_s: float
    probability: float | None


@dataclass(frozen=True, slots=True)
class WindowResult:
    """What was recognised in a window, and where the next one begins.

    `tokens` are what the next prompt continues with; `silent` says that the recogniser took the
    window for silence. `loudest`, `last_word_end_s` and `language` are those of the next window.
    """

    words: tuple[SpokenWord, ...]
    tokens: tuple[int, ...]
    next_frame: int
    temperature: float
    silent: bool
    loudest: float
    last_word_end_s: float
    language: str


class SpeechModel(Protocol):
    """A voice detector and a recogniser. Both compute outside the event loop."""

    async def voice(
        self, samples: Samples, state: VoiceState | None
    ) -> tuple[Probabilities, VoiceState]:
        """Return the probability of voice in each VOICE_SAMPLES of `samples`.

        `samples` are a whole number of steps that continue what `state` has heard, None at the
        start. Raises `SttError`.
        """
        ...

    async def loudest(self, window: SpeechWindow) -> float:
        """Return the highest log10-mel value of a window. Raises `SttError`."""
        ...

    async def recognise(self, window: SpeechWindow) -> WindowResult:
        """Recognise one window. The same window gives the same result. Raises `SttError`."""
        ...

    async def aclose(self) -> None:
        """Let go of the model and its threads."""
        ...
