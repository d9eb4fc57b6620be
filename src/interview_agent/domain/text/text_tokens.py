"""Text cut at its spaces, each piece split into what leads, the word, and what trails."""

from __future__ import annotations

from dataclasses import dataclass, field

SEPARATORS = ",;:"
TERMINATORS = ".!?…"
CLOSERS = "\"'»”’)]}"
OPENERS = "\"'«“„‘([{"
DASHES = frozenset("-–—")


def words(text: str) -> frozenset[str]:
    """Return the words of `text`, for word lists that read as prose."""
    return frozenset(text.split())


@dataclass(slots=True)
class Token:
    """One piece between two spaces.

    `start` and `end` are the offsets of the whole piece; `word` reaches from its first letter or
    digit to its last. A piece without any has an empty word and all of its characters in `lead`.
    `trail` lists the offsets of the characters that follow the word; `mark` is their text.
    """

    start: int
    end: int
    lead: str
    word: str
    mark: str
    trail: list[int] = field(default_factory=list)

    @property
    def is_dash(self) -> bool:
        """Whether the piece is a dash standing alone."""
        return not self.word and self.lead in DASHES

    @property
    def word_start(self) -> int:
        """Offset of the first character of the word."""
        return self.start + len(self.lead)


def _is_word_char(char: str) -> bool:
    return char.isalnum() or char == "_"


def _token(piece: str, start: int) -> Token:
    first, last = 0, len(piece)
    while first < last and not _is_word_char(piece[first]):
        first += 1
    while last > first and not _is_word_char(piece[last - 1]):
        last -= 1
    end = start + len(piece)
    trail = list(range(start + last, end)) if last > first else []
    return Token(start, end, piece[:first], piece[first:last], piece[last:], trail)


def tokenize(text: str) -> list[Token]:
    """Cut `text`, whose words are parted by single spaces, into tokens in order."""
    tokens = []
    start = 0
    for piece in text.split(" "):
        if piece:
            tokens.append(_token(piece, start))
        start += len(piece) + 1
    return tokens


def ends_sentence(mark: str) -> bool:
    """Whether a word followed by `mark` is the last of its sentence, an ellipsis included."""
    stripped = mark.rstrip(CLOSERS)
    return bool(stripped) and stripped[-1] in TERMINATORS
