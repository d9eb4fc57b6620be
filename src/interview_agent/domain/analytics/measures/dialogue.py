"""Questions and answers: how many, who asked, how long people thought and answered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interview_agent.domain.analytics.measures.floor import waiting
from interview_agent.domain.analytics.measures.measurement import (
    RATE_MIN_SPEECH_MS,
    Measurement,
    PerSpeaker,
    Reason,
    Span,
    distribution,
    not_measurable,
    per_speaker,
    refused,
    share,
    span_of,
)
from interview_agent.domain.analytics.questions import INTERVIEWER, Question

if TYPE_CHECKING:
    from interview_agent.domain.analytics.reading import Reading
    from interview_agent.domain.analytics.sentences import Sentence


def questions(reading: Reading) -> PerSpeaker:
    """Count the questions of each speaker."""
    if not reading.punctuated:
        reason = not_measurable("count", Reason.NO_PUNCTUATION)
        return per_speaker(reading, "count", lambda _: reason)
    asked = questions_by_speaker(reading)

    def measure(name: str) -> Measurement:
        spans = tuple(_span(reading, question.sentence) for question in asked[name])
        return Measurement(len(spans), "count", len(spans), evidence=spans)

    return per_speaker(reading, "count", measure)


def questions_per_hour(reading: Reading) -> PerSpeaker:
    """Questions of each speaker over the hours of the session."""
    asked = questions_by_speaker(reading)

    def measure(name: str) -> Measurement:
        count = len(asked[name])
        if not reading.punctuated:
            return not_measurable("1/h", Reason.NO_PUNCTUATION)
        if reading.speech_ms[name] < RATE_MIN_SPEECH_MS:
            return not_measurable("1/h", Reason.TOO_LITTLE_SPEECH, count)
        value = round(count * 3_600_000 / reading.conversation.session_ms, 2)
        return Measurement(value, "1/h", count)

    return per_speaker(reading, "1/h", measure)


def candidate_question_share(reading: Reading) -> Measurement:
    """Questions of candidates over all questions of candidates and interviewers."""
    refusal = refused(reading, "share")
    if refusal is not None:
        return refusal
    if not reading.candidates or not reading.interviewers:
        return not_measurable("share", Reason.NO_ROLES)
    if not reading.punctuated:
        return not_measurable("share", Reason.NO_PUNCTUATION)
    asked = questions_by_speaker(reading)
    ours = [question for name in reading.candidates for question in asked[name]]
    total = len(ours) + sum(len(asked[name]) for name in reading.interviewers)
    if not total:
        return not_measurable("share", Reason.NO_QUESTIONS)
    spans = tuple(_span(reading, question.sentence) for question in ours)
    return Measurement(share(len(ours), total), "share", total, evidence=spans)


def thinking_time(reading: Reading) -> PerSpeaker:
    """Silence of a candidate before a turn that follows a question: median and p90."""
    refusal = refused(reading, "s")
    if refusal is not None:
        return refusal
    if not reading.candidates:
        return not_measurable("s", Reason.NO_ROLES)
    if not reading.punctuated:
        return not_measurable("s", Reason.NO_PUNCTUATION)
    asking = _turns_that_end_in_a_question(reading)
    turns = reading.conversation.turns
    return {
        name: waiting(
            reading,
            [
                turn
                for index, turn in enumerate(turns)
                if turn.speaker == name
                and index - 1 in asking
                and turn.silence_before_ms is not None
                and turn.silence_before_ms >= 0
            ],
        )
        for name in reading.candidates
    }


def answer_seconds(reading: Reading) -> Measurement:
    """Speech of a candidate between two interviewer questions, in seconds: median and p90."""
    return _answer_lengths(reading, "s")


def answer_words(reading: Reading) -> Measurement:
    """Words of a candidate between two interviewer questions: median and p90."""
    return _answer_lengths(reading, "words")


def questions_by_speaker(reading: Reading) -> dict[str, list[Question]]:
    """Return the questions of each known speaker."""
    asked: dict[str, list[Question]] = {name: [] for name in reading.speech_ms}
    for question in reading.questions:
        if question.sentence.speaker is not None:
            asked[question.sentence.speaker].append(question)
    return asked


def _answer_lengths(reading: Reading, unit: str) -> Measurement:
    refusal = refused(reading, unit)
    if refusal is not None:
        return refusal
    if not reading.candidates or not reading.interviewers:
        return not_measurable(unit, Reason.NO_ROLES)
    if not reading.punctuated:
        return not_measurable(unit, Reason.NO_PUNCTUATION)
    answers = [
        answer
        for index, answer in sorted(reading.answers.items())
        if reading.session.roles.get(reading.questions[index].sentence.speaker or "") == INTERVIEWER
        and answer.speaker in reading.candidates
    ]
    spans = [
        span_of(reading, answer.words[0], answer.start_ms, answer.end_ms) for answer in answers
    ]
    if unit == "s":
        return distribution([answer.length_ms for answer in answers], unit, spans, scale=1000.0)
    return distribution([answer.word_count for answer in answers], unit, spans)


def _turns_that_end_in_a_question(reading: Reading) -> set[int]:
    last: dict[int, Sentence] = {}
    for sentence in reading.sentences:
        turn = sentence.turn
        if turn is not None and (turn not in last or sentence.end_ms > last[turn].end_ms):
            last[turn] = sentence
    asked = {id(question.sentence) for question in reading.questions}
    return {turn for turn, sentence in last.items() if id(sentence) in asked}


def _span(reading: Reading, sentence: Sentence) -> Span:
    word = sentence.tokens[0].word
    return span_of(reading, word, sentence.start_ms, sentence.end_ms)
