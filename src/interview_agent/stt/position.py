"""Where recognition of a track stands between two windows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from interview_agent.ports.speech import WindowResult

MAX_PROMPT_TOKENS = 223
"""The library uses at most half of the 448 positions of the decoder, less one."""

PROMPT_RESET_TEMPERATURE = 0.5
"""Above this temperature the text is too doubtful to prompt the next window with."""


@dataclass(frozen=True, slots=True)
class Position:
    """All that the next window needs to know of the windows before it.

    `frames` counts 10 ms frames of speech, silence left out; `segments` counts the segments that
    stand for good; `first_loudest` is what `loudest` was in the first window. The other fields are
    those of `SpeechWindow`.
    """

    frames: int = 0
    prompt: tuple[int, ...] = ()
    loudest: float | None = None
    first_loudest: float | None = None
    last_word_end_s: float = 0.0
    language: str | None = None
    segments: int = 0

    def after(self, result: WindowResult, *, segments: int, looped: bool) -> Position:
        """Return the position behind a window that gave `segments` segments.

        A loop that was cut out of it must not prompt the next window to loop too.
        """
        forget = looped or (not result.silent and result.temperature > PROMPT_RESET_TEMPERATURE)
        prompt = () if forget else (*self.prompt, *result.tokens)[-MAX_PROMPT_TOKENS:]
        return replace(
            self,
            frames=result.next_frame,
            prompt=prompt,
            loudest=result.loudest,
            first_loudest=result.loudest if self.first_loudest is None else self.first_loudest,
            last_word_end_s=result.last_word_end_s,
            language=result.language,
            segments=self.segments + segments,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the position as a JSON object."""
        return {
            "frames": self.frames,
            "prompt": list(self.prompt),
            "loudest": self.loudest,
            "first_loudest": self.first_loudest,
            "last_word_end_s": self.last_word_end_s,
            "language": self.language,
            "segments": self.segments,
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Position:
        """Read what `to_json` wrote."""
        return cls(**{**value, "prompt": tuple(value["prompt"])})
