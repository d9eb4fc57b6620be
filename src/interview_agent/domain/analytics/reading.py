"""An interview as it was recorded, and what can be read out of it without a language model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from interview_agent.domain.analytics.conversation import Conversation, read_conversation
from interview_agent.domain.analytics.lexicon import language_of
from interview_agent.domain.analytics.questions import (
    CANDIDATE,
    INTERVIEWER,
    Answer,
    Question,
    find_answers,
    find_questions,
)
from interview_agent.domain.analytics.sentences import (
    Passage,
    Sentence,
    is_punctuated,
    read_passages,
    read_sentences,
)
from interview_agent.domain.analytics.word_times import WordTimes, milliseconds, words_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from interview_agent.domain.transcript import Segment

ATTRIBUTED_MIN = 0.95


@dataclass(frozen=True, slots=True)
class InterviewSession:
    """One finished transcript and what is known about its meeting.

    Times of segments and words are seconds on one timeline of the meeting; a speaker may be None.
    `roles` maps a speaker to `interviewer` or `candidate`, also one who never spoke.
    `channels_separate`: every speaker was recorded apart. `verbatim`: the recogniser keeps fillers.
    `scheduled_at` and `started_at` are ISO 8601; `started_at` is when the first audio came, None of
    a recording that was sent afterwards. `gaps` are passed through to the report.
    """

    segments: Sequence[Segment]
    duration_s: float
    channels_separate: bool = False
    roles: Mapping[str, str] = field(default_factory=dict)
    language: str | None = None
    verbatim: bool = False
    plan: Sequence[str] = ()
    scheduled_at: str | None = None
    started_at: str | None = None
    gaps: Sequence[Mapping[str, Any]] = ()
    transcript_version: int | None = None
    report_version: int | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """All facts that the measures and the report share; segments are sorted by time."""

    session: InterviewSession
    segments: tuple[Segment, ...] = field(repr=False)
    times: WordTimes = field(repr=False)
    conversation: Conversation = field(repr=False)
    passages: tuple[Passage, ...] = field(repr=False)
    sentences: tuple[Sentence, ...] = field(repr=False)
    questions: tuple[Question, ...] = field(repr=False)
    answers: Mapping[int, Answer] = field(repr=False)
    token_of_word: Mapping[tuple[int, int], tuple[Passage, int]] = field(repr=False)
    speech_ms: Mapping[str, int]
    punctuated: bool
    language: str
    """`ru`, `en` or another code; where the session names none, the alphabet decides."""
    attributed_share: float | None
    """Share of speech (of words, if none has a length) whose speaker is known; None without."""

    @property
    def attributed(self) -> bool:
        """Whether enough speech has a speaker for figures per speaker."""
        return self.attributed_share is not None and self.attributed_share >= ATTRIBUTED_MIN

    @property
    def interviewers(self) -> tuple[str, ...]:
        """Speakers with the role of interviewer who spoke."""
        return self._with_role(INTERVIEWER)

    @property
    def panel(self) -> tuple[str, ...]:
        """Everybody named with the role of interviewer, whether they spoke or not."""
        roles = self.session.roles
        return tuple(name for name, role in roles.items() if role == INTERVIEWER)

    @property
    def candidates(self) -> tuple[str, ...]:
        """Speakers with the role of candidate who spoke."""
        return self._with_role(CANDIDATE)

    def _with_role(self, role: str) -> tuple[str, ...]:
        return tuple(name for name in self.speech_ms if self.session.roles.get(name) == role)


def read_session(session: InterviewSession) -> Reading:
    """Read the conversation, its sentences, questions and answers out of a session."""
    segments = tuple(sorted(session.segments, key=lambda s: (s.start_s, s.end_s, s.segment_id)))
    times = words_of(segments)
    conversation = read_conversation(times.words, milliseconds(session.duration_s))
    turn_of_word = conversation.turn_of_word
    punctuated = is_punctuated(segments)
    passages = tuple(read_passages(segments, times.words, turn_of_word))
    sentences = tuple(read_sentences(passages, turn_of_word, punctuated=punctuated))
    language = (session.language or "").lower().partition("-")[0]
    language = language or language_of([segment.text for segment in segments]) or "en"
    questions = tuple(find_questions(sentences, language))
    token_of_word: dict[tuple[int, int], tuple[Passage, int]] = {}
    for passage in passages:
        for index, token in enumerate(passage.tokens):
            token_of_word.setdefault((token.segment, token.word.position), (passage, index))
    share = _known_share(conversation, times)
    return Reading(
        session=session,
        segments=segments,
        times=times,
        conversation=conversation,
        passages=passages,
        sentences=sentences,
        questions=questions,
        answers=(
            find_answers(questions, conversation, session.roles)
            if share is not None and share >= ATTRIBUTED_MIN
            else {}
        ),
        attributed_share=share,
        token_of_word=token_of_word,
        speech_ms=conversation.speech_ms,
        punctuated=punctuated,
        language=language,
    )


def _known_share(conversation: Conversation, times: WordTimes) -> float | None:
    if not times.words:
        return None
    known = sum(conversation.speech_ms.values())
    total = known + conversation.unattributed_ms
    if total:
        return known / total
    return sum(word.speaker is not None for word in times.words) / len(times.words)
