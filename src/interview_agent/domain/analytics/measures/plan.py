"""Which planned questions were asked, by the words that they share with those asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from interview_agent.domain.analytics.lexicon import STOP_WORDS, normal_word, stem
from interview_agent.domain.analytics.measures.measurement import (
    Measurement,
    Reason,
    Span,
    not_measurable,
    share,
    span_of,
)
from interview_agent.domain.analytics.questions import CANDIDATE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from interview_agent.domain.analytics.reading import Reading
    from interview_agent.domain.analytics.sentences import Sentence

MATCH_MIN = 0.6


@dataclass(frozen=True, slots=True)
class PlanItem:
    """A planned question, and the sentence in which it was asked, if it was.

    `score` is the share of its subject words found there; None where it has no subject words.
    """

    question: str
    score: float | None
    asked: Sentence | None = field(repr=False)


def planned_questions(context: Mapping[str, Any]) -> list[str]:
    """Return the planned questions that a meeting's `context` names under `plan`.

    An entry is a string or an object with `question` or `text`; anything else is passed over.
    """
    listed = context.get("plan")
    texts = [_text(entry) for entry in listed] if isinstance(listed, list) else []
    return [text.strip() for text in texts if text.strip()]


def match_plan(reading: Reading) -> list[PlanItem]:
    """Match every planned question to the sentence that covers most of its subject words.

    Subject words are stems less stop words. A match covers at least 0.6 of them; where several
    do, the one with the fewest other words wins, then the earlier. Sentences of candidates are
    left out; where nobody has a role, only questions count.
    """
    asked = _asked(reading)
    index: dict[str, set[int]] = {}
    stems = [_subject(sentence.text) for sentence in asked]
    for place, found in enumerate(stems):
        for one in found:
            index.setdefault(one, set()).add(place)
    return [_match(question, asked, stems, index) for question in reading.session.plan]


def plan_coverage(reading: Reading, items: Sequence[PlanItem]) -> Measurement:
    """Share of the planned questions that were asked."""
    counted = [item for item in items if item.score is not None]
    if not counted:
        return not_measurable("share", Reason.NO_PLAN)
    if not reading.sentences:
        return not_measurable("share", Reason.NO_SPEECH)
    matched = [item.asked for item in counted if item.asked is not None]
    spans = tuple(_span(reading, sentence) for sentence in matched)
    return Measurement(share(len(matched), len(counted)), "share", len(counted), evidence=spans)


def _text(entry: object) -> str:
    if isinstance(entry, str):
        return entry
    if isinstance(entry, dict):
        found = entry.get("question") or entry.get("text")
        return found if isinstance(found, str) else ""
    return ""


def _subject(text: str) -> frozenset[str]:
    words = (normal_word(word) for word in text.split())
    return frozenset(stem(word) for word in words if word and word not in STOP_WORDS)


def _asked(reading: Reading) -> list[Sentence]:
    roles = reading.session.roles
    if reading.interviewers:
        return [
            sentence
            for sentence in reading.sentences
            if sentence.speaker is not None and roles.get(sentence.speaker) != CANDIDATE
        ]
    return [question.sentence for question in reading.questions]


def _match(
    question: str,
    asked: Sequence[Sentence],
    stems: Sequence[frozenset[str]],
    index: Mapping[str, set[int]],
) -> PlanItem:
    wanted = _subject(question)
    if not wanted:
        return PlanItem(question, None, None)
    hits: dict[int, int] = {}
    for one in wanted:
        for place in index.get(one, ()):
            hits[place] = hits.get(place, 0) + 1
    if not hits:
        return PlanItem(question, 0.0, None)
    best = min(hits, key=lambda place: (-hits[place], len(stems[place]), place))
    score = share(hits[best], len(wanted))
    return PlanItem(question, score, asked[best] if score >= MATCH_MIN else None)


def _span(reading: Reading, sentence: Sentence) -> Span:
    word = sentence.tokens[0].word
    return span_of(reading, word, sentence.start_ms, sentence.end_ms)
