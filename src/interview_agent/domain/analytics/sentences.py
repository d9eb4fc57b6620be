"""Sentences of a transcript, each a verbatim span of its text with times and segments."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

from interview_agent.domain.analytics.lexicon import normal_word

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from interview_agent.domain.analytics.word_times import SpokenWord
    from interview_agent.domain.transcript import Segment

_TOKEN = re.compile(r"\S+")
_ENDS = re.compile(r"[.!?…]+[\"'»”)\]]*\Z")
_ASKS = re.compile(r"\?[.!?…]*[\"'»”)\]]*\Z")
_CLOSING = "\"'»”)]"
_LARGEST_ALIGNMENT = 1_000_000


@dataclass(frozen=True, slots=True)
class Token:
    """A run of the text without spaces, and the spoken word it stands for."""

    text: str
    start: int
    """Offset in the text of its passage, in characters."""
    segment: int
    word: SpokenWord


@dataclass(frozen=True, slots=True)
class Passage:
    """Consecutive segments of one speaker within one turn, their texts joined by one space."""

    speaker: str | None
    text: str
    segments: tuple[int, ...]
    tokens: tuple[Token, ...] = field(repr=False)

    def quote(self, first: int, last: int) -> str:
        """Return the text from token `first` up to and with token `last`, as it stands."""
        end = self.tokens[last]
        return self.text[self.tokens[first].start : end.start + len(end.text)]


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence as it stands in its passage: tokens `first` to `last`, both included.

    `turn` is the index of the turn that holds all of it, None where there is no single one.
    """

    passage: Passage = field(repr=False)
    first: int
    last: int
    turn: int | None

    @property
    def speaker(self) -> str | None:
        """Who said it."""
        return self.passage.speaker

    @property
    def text(self) -> str:
        """Its verbatim text."""
        return self.passage.quote(self.first, self.last)

    @property
    def tokens(self) -> tuple[Token, ...]:
        """Its tokens."""
        return self.passage.tokens[self.first : self.last + 1]

    @property
    def start_ms(self) -> int:
        """When its first word begins."""
        return self.passage.tokens[self.first].word.start_ms

    @property
    def end_ms(self) -> int:
        """When its last word ends."""
        return max(self.start_ms, self.passage.tokens[self.last].word.end_ms)

    @property
    def segments(self) -> tuple[int, ...]:
        """Indices of the segments that it touches, in the order of the text."""
        return tuple(dict.fromkeys(token.segment for token in self.tokens))

    @property
    def asked(self) -> bool:
        """Whether it ends with a question mark."""
        return bool(_ASKS.search(self.passage.tokens[self.last].text))


def is_punctuated(segments: Sequence[Segment]) -> bool:
    """Tell whether any token of the transcript ends a sentence."""
    return any(_ENDS.search(token) for segment in segments for token in segment.text.split())


def read_passages(
    segments: Sequence[Segment],
    words: Sequence[SpokenWord],
    turn_of_word: Mapping[tuple[int, int], int],
) -> list[Passage]:
    """Join the segments (sorted by time) of each speaker into passages, in order of time.

    Speech of nobody known is never joined: there is no telling whose turn it is.
    """
    spoken: list[list[SpokenWord]] = [[] for _ in segments]
    for word in words:
        spoken[word.segment].append(word)
    groups: list[list[int]] = []
    open_group: dict[str, list[int]] = {}
    for index, segment in enumerate(segments):
        spoken[index].sort(key=lambda word: word.position)
        if not spoken[index] or not segment.text.split():
            continue
        group = open_group.get(segment.speaker) if segment.speaker is not None else None
        if group is not None and _same_turn(spoken[group[-1]], spoken[index], turn_of_word):
            group.append(index)
            continue
        groups.append([index])
        if segment.speaker is not None:
            open_group[segment.speaker] = groups[-1]
    return [_passage(segments, group, spoken) for group in groups]


def read_sentences(
    passages: Iterable[Passage], turn_of_word: Mapping[tuple[int, int], int], *, punctuated: bool
) -> list[Sentence]:
    """Split passages into sentences; without punctuation every segment is one."""
    return [
        Sentence(passage, first, last, _turn_of(passage, first, last, turn_of_word))
        for passage in passages
        for first, last in _bounds(passage, punctuated=punctuated)
    ]


def _same_turn(
    before: Sequence[SpokenWord],
    after: Sequence[SpokenWord],
    turn_of_word: Mapping[tuple[int, int], int],
) -> bool:
    left, right = before[-1], after[0]
    turn = turn_of_word.get((left.segment, left.position))
    return turn is not None and turn == turn_of_word.get((right.segment, right.position))


def _turn_of(
    passage: Passage, first: int, last: int, turn_of_word: Mapping[tuple[int, int], int]
) -> int | None:
    left, right = passage.tokens[first].word, passage.tokens[last].word
    turn = turn_of_word.get((left.segment, left.position))
    return turn if turn == turn_of_word.get((right.segment, right.position)) else None


def _passage(
    segments: Sequence[Segment], group: Sequence[int], spoken: Sequence[Sequence[SpokenWord]]
) -> Passage:
    tokens: list[Token] = []
    offset = 0
    for index in group:
        text = segments[index].text
        matches = list(_TOKEN.finditer(text))
        places = _places([match.group() for match in matches], spoken[index])
        tokens.extend(
            Token(match.group(), offset + match.start(), index, spoken[index][place])
            for match, place in zip(matches, places, strict=True)
        )
        offset += len(text) + 1
    text = " ".join(segments[index].text for index in group)
    return Passage(segments[group[0]].speaker, text, tuple(group), tuple(tokens))


def _places(tokens: Sequence[str], words: Sequence[SpokenWord]) -> list[int]:
    """Return for every token the index of the word that it stands for, never decreasing."""
    if len(tokens) == len(words):
        return list(range(len(words)))
    if len(tokens) * len(words) > _LARGEST_ALIGNMENT:
        return [at * len(words) // len(tokens) for at in range(len(tokens))]
    places = [0] * len(tokens)
    matcher = SequenceMatcher(
        None,
        [normal_word(token) for token in tokens],
        [normal_word(word.text) for word in words],
        autojunk=False,
    )
    for _, t0, t1, w0, w1 in matcher.get_opcodes():
        width = max(1, w1 - w0)
        for at in range(t0, t1):
            place = w0 + (at - t0) * width // (t1 - t0)
            places[at] = min(place, len(words) - 1)
    return places


def _bounds(passage: Passage, *, punctuated: bool) -> Iterable[tuple[int, int]]:
    tokens = passage.tokens
    first = 0
    for at, token in enumerate(tokens):
        after = tokens[at + 1] if at + 1 < len(tokens) else None
        if after is None:
            ends = True
        elif punctuated:
            ends = _ends_sentence(token.text, after.text)
        else:
            ends = after.segment != token.segment
        if ends:
            yield first, at
            first = at + 1


def _ends_sentence(token: str, after: str) -> bool:
    if not _ENDS.search(token):
        return False
    # "т. е." and "e.g. this" go on in lower case; a question or an exclamation does not.
    stop_alone = token.rstrip(_CLOSING).endswith((".", "…"))
    return not (stop_alone and after.lstrip("«\"'(“—–-")[:1].islower())
