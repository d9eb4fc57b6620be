"""Questions of a conversation, and what was answered to each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from interview_agent.domain.analytics.lexicon import (
    LANGUAGES,
    QuestionKind,
    classify_question,
    normal_word,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from interview_agent.domain.analytics.conversation import Conversation, Stretch
    from interview_agent.domain.analytics.sentences import Passage, Sentence
    from interview_agent.domain.analytics.word_times import SpokenWord

EXCERPT_MAX_TOKENS = 60

INTERVIEWER = "interviewer"
CANDIDATE = "candidate"

_ENDINGS = (".", "?", "!", "…")


@dataclass(frozen=True, slots=True)
class Question:
    """A sentence that asks; `kind` is None in a language whose openers are not known."""

    sentence: Sentence
    kind: QuestionKind | None
    marked: bool
    """It ends with a question mark; else its opening words make it a question."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one speaker said after a question, until somebody of another side asked the next."""

    speaker: str
    stretches: tuple[Stretch, ...] = field(repr=False)

    @property
    def words(self) -> tuple[SpokenWord, ...]:
        """Its words by time."""
        return tuple(word for stretch in self.stretches for word in stretch.words)

    @property
    def word_count(self) -> int:
        """How many words it has; punctuation that stands alone, such as a dash, is none."""
        return sum(bool(normal_word(word.text)) for word in self.words)

    @property
    def length_ms(self) -> int:
        """Milliseconds of speech, silences left out."""
        return sum(stretch.length_ms for stretch in self.stretches)

    @property
    def start_ms(self) -> int:
        """When it begins."""
        return self.stretches[0].start_ms

    @property
    def end_ms(self) -> int:
        """When it ends."""
        return max(stretch.end_ms for stretch in self.stretches)


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A verbatim beginning of an answer: tokens `first` to `last` of one passage."""

    passage: Passage = field(repr=False)
    first: int
    last: int

    @property
    def text(self) -> str:
        """Its verbatim text."""
        return self.passage.quote(self.first, self.last)


def find_questions(sentences: Sequence[Sentence], language: str | None) -> list[Question]:
    """Return the sentences that end with a question mark or open as questions do, by time."""
    found: list[Question] = []
    for sentence in sentences:
        asked = sentence.asked
        kind = classify_question([token.text for token in sentence.tokens], asked=asked)
        if kind is not None:
            known = language is None or language in LANGUAGES
            found.append(Question(sentence, kind if known else None, asked))
    found.sort(key=lambda question: (question.sentence.start_ms, question.sentence.end_ms))
    return found


def find_answers(
    questions: Sequence[Question], conversation: Conversation, roles: Mapping[str, str]
) -> dict[int, Answer]:
    """Pair each question (by index) with its answer; a question without one is absent.

    An answer is all floor speech of one speaker that begins after the question does and ends
    after it, until somebody of another side asks again. A side is a role, or a speaker without
    one. The answer to an interviewer is a candidate's, else the first other speaker's.
    """
    listening = {id(stretch) for stretch in conversation.backchannels}
    taken: dict[int, list[Stretch]] = {}
    position = 0
    latest: int | None = None
    latest_of_other: int | None = None
    for stretch in conversation.stretches:
        while position < len(questions) and _start(questions[position]) < stretch.start_ms:
            side = _side(questions[position].sentence.speaker, roles)
            if latest is not None and _side(questions[latest].sentence.speaker, roles) != side:
                latest_of_other = latest
            latest = position
            position += 1
        if latest is None or stretch.speaker is None or id(stretch) in listening:
            continue
        own = _side(questions[latest].sentence.speaker, roles) == _side(stretch.speaker, roles)
        index = latest_of_other if own else latest
        if index is not None and _may_answer(questions[index], stretch, roles):
            held = taken.setdefault(index, [])
            if not held or held[0].speaker == stretch.speaker:
                held.append(stretch)
    return {
        index: Answer(held[0].speaker, tuple(held))
        for index, held in taken.items()
        if held[0].speaker is not None
    }


def _start(question: Question) -> int:
    return question.sentence.start_ms


def _side(speaker: str | None, roles: Mapping[str, str]) -> tuple[str, str]:
    if speaker is None:
        return ("unknown", "")
    role = roles.get(speaker)
    return ("role", role) if role else ("speaker", speaker)


def _may_answer(question: Question, stretch: Stretch, roles: Mapping[str, str]) -> bool:
    asker = question.sentence.speaker
    if asker is None or stretch.speaker is None or stretch.end_ms <= question.sentence.end_ms:
        return False
    if roles.get(asker) == INTERVIEWER and CANDIDATE in roles.values():
        return roles.get(stretch.speaker) == CANDIDATE
    return True


def excerpt_of(
    answer: Answer, tokens: Mapping[tuple[int, int], tuple[Passage, int]]
) -> Excerpt | None:
    """Quote the beginning of an answer: up to 60 tokens of its first passage.

    It ends with a sentence where one ends in its second half. `tokens` says where the first token
    of a word stands. None when the text has no token for any word of the answer.
    """
    places = {(word.segment, word.position): word for word in answer.words}
    place = next((tokens[key] for key in places if key in tokens), None)
    if place is None:
        return None
    passage, first = place
    last = first
    ends_at = None
    while (
        last + 1 < len(passage.tokens)
        and last + 1 - first < EXCERPT_MAX_TOKENS
        and _key(passage.tokens[last + 1].word) in places
    ):
        last += 1
        if last - first >= EXCERPT_MAX_TOKENS // 2 and passage.tokens[last].text.endswith(_ENDINGS):
            ends_at = last
    cut = last + 1 - first >= EXCERPT_MAX_TOKENS
    return Excerpt(passage, first, ends_at if cut and ends_at is not None else last)


def _key(word: SpokenWord) -> tuple[int, int]:
    return (word.segment, word.position)
