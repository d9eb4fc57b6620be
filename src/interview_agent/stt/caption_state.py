"""What a captioner leaves for the one that takes over from it, as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class HeardWord:
    """A word on the timeline of its track, leading space included, times in seconds.

    Words of different `stretch` have more than a pause between them.
    """

    text: str
    start_s: float
    end_s: float
    probability: float
    tokens: tuple[int, ...]
    stretch: int


@dataclass(frozen=True, slots=True)
class CaptionState:
    """Where a captioner stands, enough for another one to go on from there.

    The window begins at sample `start`; None while there is nothing to go on with, and then speech
    begins at `heard` at the earliest. `context` are the last words that stand and sound in the
    window, `prompt` the tokens before them. `stretch` numbers what joined speech this is.
    `language` is that which was told from enough sound.
    """

    heard: int = 0
    start: int | None = None
    stretch: int = 0
    language: str | None = None
    prompt: tuple[int, ...] = ()
    context: tuple[HeardWord, ...] = ()

    @property
    def needed_from(self) -> int:
        """The first sample that another captioner has to hear."""
        return self.heard if self.start is None else self.start

    def to_json(self) -> dict[str, Any]:
        """Return the state as a JSON object."""
        return {
            "heard": self.heard,
            "start": self.start,
            "stretch": self.stretch,
            "language": self.language,
            "prompt": list(self.prompt),
            "context": [
                [word.text, word.start_s, word.end_s, word.probability, list(word.tokens)]
                for word in self.context
            ],
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> CaptionState:
        """Read what `to_json` wrote."""
        context = tuple(
            HeardWord(text, start_s, end_s, probability, tuple(tokens), value["stretch"])
            for text, start_s, end_s, probability, tokens in value["context"]
        )
        return cls(**{**value, "prompt": tuple(value["prompt"]), "context": context})
