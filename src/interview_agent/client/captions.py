"""What is known of a meeting's text at a moment, from the messages of the service."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class CaptionLine:
    """One segment: words that stand, then words that may still change."""

    start_s: float
    speaker: str
    stands: str
    may_change: str = ""
    is_final: bool = False

    @property
    def heading(self) -> str:
        """Time and speaker, as they stand before the words."""
        minutes, seconds = divmod(self.start_s, 60)
        who = f" {self.speaker}:" if self.speaker else ""
        return f"[{int(minutes):02d}:{seconds:04.1f}]{who} "

    def __str__(self) -> str:
        return self.heading + " ".join(part for part in (self.stands, self.may_change) if part)


class Captions:
    """Folds updates, partials and retractions into one line for each segment."""

    def __init__(self) -> None:
        self._lines: dict[str, CaptionLine] = {}
        self._revisions: dict[str, int] = {}
        self._speakers: dict[str, str] = {}

    def take(self, message: Mapping[str, Any]) -> str | None:
        """Take a message and return the id of the segment that it changed, None if none."""
        match message.get("event_type"):
            case "transcript.update":
                return self._update(message)
            case "transcript.partial":
                return self._partial(message)
            case "transcript.retract":
                self._lines.pop(message["segment_id"], None)
                return str(message["segment_id"])
        return None

    def __getitem__(self, segment_id: str) -> CaptionLine | None:
        return self._lines.get(segment_id)

    def in_order(self) -> list[tuple[str, CaptionLine]]:
        """Return every line with its segment id in the order in which they were begun."""
        return sorted(self._lines.items(), key=lambda each: (each[1].start_s, each[0]))

    def _update(self, message: Mapping[str, Any]) -> str:
        segment_id, track = message["segment_id"], message["track"]
        self._speakers[track] = message.get("speaker") or track
        self._revisions[segment_id] = message["revision"]
        self._lines[segment_id] = CaptionLine(
            start_s=message["start"],
            speaker=plain(self._speakers[track]),
            stands=plain(message.get("enhanced_text") or message.get("raw_text") or ""),
            is_final=message.get("is_final", True),
        )
        return str(segment_id)

    def _partial(self, message: Mapping[str, Any]) -> str | None:
        segment_id, track = message["segment_id"], message["track"]
        words = [word["text"] for word in message["words"]]
        known = self._lines.get(segment_id)
        is_late = message["revision"] < self._revisions.get(segment_id, 0)
        if not words or is_late or (known is not None and known.is_final):
            return None
        self._lines[segment_id] = CaptionLine(
            start_s=message["start"],
            speaker=plain(self._speakers.get(track, track)),
            stands=_joined(words[: message["committed"]]),
            may_change=_joined(words[message["committed"] :]),
        )
        return str(segment_id)


def plain(text: str) -> str:
    """Return text without what a terminal would take for a command."""
    return "".join(character if character.isprintable() else " " for character in text)


def _joined(words: Sequence[str]) -> str:
    return plain(" ".join(words))
