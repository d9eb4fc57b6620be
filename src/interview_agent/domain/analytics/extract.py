"""An extractive summary: sentences of the transcript, chosen by a fixed rule, left as they are."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from interview_agent.domain.analytics.lexicon import STOP_WORDS, normal_word, stem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from interview_agent.domain.analytics.reading import Reading
    from interview_agent.domain.analytics.sentences import Passage, Sentence

METHOD = (
    "TF-IDF over sentences: stems less stop words, weight (1 + ln tf) * ln(1 + N/df), mean over "
    "the square root of the length, 1.2 times for the first sentence of a turn; 6 to 40 words of "
    "one turn, candidates only where roles are known, no questions; a sentence that shares half "
    "of its stems with a chosen one is left out"
)
MIN_TOKENS = 6
MAX_TOKENS = 40
MAX_QUOTES = 7
FIRST_OF_TURN = 1.2
SIMILAR = 0.5


@dataclass(frozen=True, slots=True)
class Quote:
    """Tokens `first` to `last` of a passage, as they stand, with the score that chose them."""

    passage: Passage = field(repr=False)
    first: int
    last: int
    score: float

    @property
    def text(self) -> str:
        """The verbatim text."""
        return self.passage.quote(self.first, self.last)

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
        """Indices of its segments in the order of the text."""
        tokens = self.passage.tokens[self.first : self.last + 1]
        return tuple(dict.fromkeys(token.segment for token in tokens))


def choose_quotes(reading: Reading) -> list[Quote]:
    """Return up to seven quotes, best first: two, and one more for every eight sentences."""
    sentences = _eligible(reading)
    stems = [_stems(sentence) for sentence in sentences]
    weights = _weights(stems)
    opening = _first_of_turns(reading.sentences)
    scores = [
        _score(found, weights) * (FIRST_OF_TURN if id(sentence) in opening else 1.0)
        for sentence, found in zip(sentences, stems, strict=True)
    ]
    ranked = sorted(range(len(sentences)), key=lambda at: (-scores[at], sentences[at].start_ms))
    wanted = min(MAX_QUOTES, 2 + len(sentences) // 8)
    chosen: list[int] = []
    for at in ranked:
        if len(chosen) == wanted:
            break
        if all(not _similar(stems[at], stems[other]) for other in chosen):
            chosen.append(at)
    return [_quote(sentences[at], scores[at]) for at in chosen]


def _eligible(reading: Reading) -> list[Sentence]:
    asked = {id(question.sentence) for question in reading.questions}
    told = [
        sentence
        for sentence in reading.sentences
        if id(sentence) not in asked and any(normal_word(t.text) for t in sentence.tokens)
    ]
    by_candidates = [one for one in told if one.speaker in reading.candidates]
    pool = by_candidates or told or list(reading.sentences)
    whole = [
        one
        for one in pool
        if len(one.tokens) >= MIN_TOKENS and (one.turn is not None or one.speaker is None)
    ]
    return whole or pool


def _stems(sentence: Sentence) -> frozenset[str]:
    words = (normal_word(token.text) for token in sentence.tokens[:MAX_TOKENS])
    return frozenset(stem(word) for word in words if word and word not in STOP_WORDS)


def _weights(stems: Sequence[frozenset[str]]) -> dict[str, float]:
    counts = Counter(one for found in stems for one in found)
    total = len(stems)
    return {
        one: (1 + math.log(count)) * math.log(1 + total / count) for one, count in counts.items()
    }


def _score(found: frozenset[str], weights: Mapping[str, float]) -> float:
    if not found:
        return 0.0
    return math.fsum(weights[one] for one in found) / math.sqrt(len(found))


def _first_of_turns(sentences: Sequence[Sentence]) -> set[int]:
    first: dict[int, Sentence] = {}
    for sentence in sentences:
        turn = sentence.turn
        if turn is not None and (turn not in first or sentence.start_ms < first[turn].start_ms):
            first[turn] = sentence
    return {id(sentence) for sentence in first.values()}


def _similar(left: frozenset[str], right: frozenset[str]) -> bool:
    shorter = min(len(left), len(right))
    return shorter > 0 and len(left & right) / shorter > SIMILAR


def _quote(sentence: Sentence, score: float) -> Quote:
    last = min(sentence.last, sentence.first + MAX_TOKENS - 1)
    return Quote(sentence.passage, sentence.first, last, score)
