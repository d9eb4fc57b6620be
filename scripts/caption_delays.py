"""How long after a word was said it was shown, and when it stood."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

NEAR_S = 0.6
"""How far the time of a word may move before it counts as another word."""


@dataclass
class SeenWord:
    """A word of the captions: where it ends in the sound, and when it was shown and committed."""

    text: str
    end_s: float
    shown_s: float
    committed_s: float | None = None


class Delays:
    """Watches the captions of tracks whose sound began at `began_s` of the monotonic clock."""

    def __init__(self) -> None:
        self.began_s = 0.0
        self._seen: defaultdict[str, list[SeenWord]] = defaultdict(list)
        self._final: list[SeenWord] = []

    def take(self, message: dict[str, Any]) -> None:
        """Note which words a message shows and which of them stand."""
        kind, words = message["event_type"], message.get("words") or []
        if kind not in {"transcript.partial", "transcript.update"}:
            return
        committed = message["committed"] if kind == "transcript.partial" else len(words)
        now_s = time.monotonic() - self.began_s
        for number, word in enumerate(words):
            seen = self._find(message["track"], word, now_s)
            if number < committed and seen.committed_s is None:
                seen.committed_s = now_s
            if kind == "transcript.update" and message["is_final"] and seen not in self._final:
                self._final.append(seen)

    def medians(self) -> tuple[float, float, int] | None:
        """Return the median delays of the final words, shown and committed, and their number."""
        if not self._final:
            return None
        shown = [word.shown_s - word.end_s for word in self._final]
        committed = [(word.committed_s or 0.0) - word.end_s for word in self._final]
        return statistics.median(shown), statistics.median(committed), len(self._final)

    def _find(self, track: str, word: dict[str, Any], now_s: float) -> SeenWord:
        text = "".join(filter(str.isalnum, word["text"].lower()))
        for seen in reversed(self._seen[track]):
            if seen.text == text and abs(seen.end_s - word["end"]) < NEAR_S:
                return seen
        self._seen[track].append(SeenWord(text, word["end"], now_s))
        return self._seen[track][-1]


def in_words(measured: tuple[float, float, int] | None) -> str:
    """Say in a sentence what was measured."""
    if measured is None:
        return "no word was final before the end of the sound"
    shown_s, committed_s, count = measured
    return (
        f"after the end of a word (median of {count}): "
        f"shown after {shown_s:.2f} s, committed after {committed_s:.2f} s"
    )
