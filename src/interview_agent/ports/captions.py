"""Recognising the last seconds of a speech that goes on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from interview_agent.ports.audio import Samples
    from interview_agent.ports.speech import Probabilities, VoiceState


@dataclass(frozen=True, slots=True)
class CaptionWindow:
    """Speech of at most 15 s to recognise now.

    `prefix` are the tokens of words at its beginning that are known already, `prompt` those of
    what was said before it. `final` says that no more sound follows: an implausible result is
    then sought again at full cost. `detect` asks how likely `language` is; a `language` of None is
    to be found.
    """

    samples: Samples
    language: str | None
    prompt: tuple[int, ...] = ()
    prefix: tuple[int, ...] = ()
    final: bool = False
    detect: bool = False


@dataclass(frozen=True, slots=True)
class CaptionWord:
    """One word, leading space included, with its tokens; seconds from the start of the window."""

    text: str
    tokens: tuple[int, ...]
    start_s: float
    end_s: float
    probability: float


@dataclass(frozen=True, slots=True)
class CaptionResult:
    """What was recognised, the words of the prefix included.

    `plausible` is False when the recogniser ran away; there are no words then.
    `language_probability` is that of `language` where it was sought, negated where another one is
    likelier and then that one's, None where it was not sought.
    """

    words: tuple[CaptionWord, ...]
    language: str
    language_probability: float | None
    plausible: bool


class CaptionModel(Protocol):
    """A voice detector and a recogniser of short windows. Both compute outside the event loop."""

    async def voice(
        self, samples: Samples, state: VoiceState | None
    ) -> tuple[Probabilities, VoiceState]:
        """Return the probability of voice; see `ports.speech.SpeechModel.voice`."""
        ...

    async def caption(self, window: CaptionWindow) -> CaptionResult:
        """Recognise one window, maybe together with those of other tracks. Raises `SttError`."""
        ...
