"""The report of an interview without a language model: figures, questions, answers, quotes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from interview_agent.domain.analytics import conversation, report_wording
from interview_agent.domain.analytics.extract import METHOD as SUMMARY_METHOD
from interview_agent.domain.analytics.extract import Quote, choose_quotes
from interview_agent.domain.analytics.measures import talk
from interview_agent.domain.analytics.measures.catalogue import measure_all
from interview_agent.domain.analytics.measures.measurement import (
    METHOD_VERSION,
    RATE_MIN_SPEECH_MS,
    SAMPLE_MIN,
    Measurement,
    Reason,
    seconds,
)
from interview_agent.domain.analytics.measures.plan import (
    MATCH_MIN,
    PlanItem,
    match_plan,
    plan_coverage,
)
from interview_agent.domain.analytics.questions import CANDIDATE, INTERVIEWER, Answer, excerpt_of
from interview_agent.domain.analytics.reading import (
    ATTRIBUTED_MIN,
    InterviewSession,
    Reading,
    read_session,
)
from interview_agent.domain.analytics.report_wording import listed, tongue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from interview_agent.domain.analytics.sentences import Sentence

SCHEMA_VERSION = "1"
SUMMARY_LINES = 3
LONGEST_ANSWERS = 3


def build_report(session: InterviewSession) -> dict[str, Any]:
    """Return the report of a session, ready for JSON.

    `schema_version` is that of this form; `version` and `transcript_version` count the meeting's.
    Every quote is a contiguous span of the text of its segments, joined by one space where there
    are several. `summary` holds one quote a line, the best three by time. The same session gives
    the same report, whatever the order of its segments.
    """
    reading = read_session(session)
    quotes = choose_quotes(reading)
    items = match_plan(reading)
    coverage = plan_coverage(reading, items)
    questions = [_question(reading, index) for index in range(len(reading.questions))]
    language = tongue(reading.language)
    return {
        "schema_version": SCHEMA_VERSION,
        "version": session.report_version,
        "transcript_version": session.transcript_version,
        "language": reading.language,
        "duration_s": seconds(reading.conversation.session_ms),
        "summary": _summary(reading, quotes, language),
        "bullets": [quote.text for quote in _by_time(quotes)],
        "risk_flags": _risk_flags(reading, items, language),
        "recommendation": _recommendation(reading, items, language),
        "metrics": {**measure_all(reading), "plan_coverage": coverage.as_dict()},
        "questions": questions,
        "longest_answers": _longest_answers(questions),
        "summary_quotes": [_quote(reading, quote) for quote in _by_time(quotes)],
        "plan_coverage": _plan(reading, items, coverage),
        "gaps": [dict(gap) for gap in session.gaps],
        "roles": dict(session.roles),
        "provenance": {
            "transcript_version": session.transcript_version,
            "method_version": METHOD_VERSION,
            "language_model": None,
            "segments": len(reading.segments),
            "words": len(reading.times.words),
        },
        "method": _method(reading),
    }


def _by_time(quotes: Sequence[Quote]) -> list[Quote]:
    return sorted(quotes, key=lambda quote: (quote.start_ms, quote.end_ms))


def _summary(reading: Reading, quotes: Sequence[Quote], language: str) -> str:
    if not reading.sentences:
        return report_wording.NO_SPEECH[language]
    return "\n".join(quote.text for quote in _by_time(quotes[:SUMMARY_LINES]))


def _ids(reading: Reading, segments: Sequence[int]) -> list[str]:
    return [reading.segments[index].segment_id for index in segments]


def _quote(reading: Reading, quote: Quote) -> dict[str, Any]:
    ids = _ids(reading, quote.segments)
    return {
        "text": quote.text,
        "speaker": quote.passage.speaker,
        "segment_id": ids[0],
        "segment_ids": ids,
        "start": seconds(quote.start_ms),
        "end": seconds(quote.end_ms),
        "score": round(quote.score, 4),
    }


def _spoken(reading: Reading, sentence: Sentence) -> dict[str, Any]:
    ids = _ids(reading, sentence.segments)
    return {
        "speaker": sentence.speaker,
        "text": sentence.text,
        "segment_id": ids[0],
        "segment_ids": ids,
        "start": seconds(sentence.start_ms),
        "end": seconds(sentence.end_ms),
    }


def _question(reading: Reading, index: int) -> dict[str, Any]:
    question = reading.questions[index]
    answer = reading.answers.get(index)
    shown = _answer(reading, answer) if answer is not None else None
    return {
        **_spoken(reading, question.sentence),
        "kind": question.kind.value if question.kind else None,
        "found_by": "mark" if question.marked else "opener",
        "answer": shown,
        "answer_reason": None if shown else _why_unanswered(reading, index),
    }


def _why_unanswered(reading: Reading, index: int) -> str:
    asked = reading.questions[index].sentence
    if asked.speaker is None or not reading.attributed:
        return Reason.UNATTRIBUTED_SPEECH.value
    if index + 1 < len(reading.questions):
        following = reading.questions[index + 1].sentence
        if following.turn is not None and following.turn == asked.turn:
            return "next_question_followed"
    return "no_reply"


def _answer(reading: Reading, answer: Answer) -> dict[str, Any] | None:
    excerpt = excerpt_of(answer, reading.token_of_word)
    if excerpt is None:
        return None
    segments = dict.fromkeys(
        word.segment for word in answer.words if reading.segments[word.segment].text.strip()
    )
    return {
        "speaker": answer.speaker,
        "segment_ids": _ids(reading, sorted(segments)),
        "start": seconds(answer.start_ms),
        "end": seconds(answer.end_ms),
        "text": excerpt.text,
        "words": answer.word_count,
        "seconds": seconds(answer.length_ms),
    }


def _longest_answers(questions: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    answered = [question for question in questions if question["answer"]]
    answered.sort(key=lambda question: (-question["answer"]["seconds"], question["start"]))
    return [
        {
            "question": {key: question[key] for key in ("speaker", "text", "segment_ids")},
            **question["answer"],
        }
        for question in answered[:LONGEST_ANSWERS]
    ]


def _plan(reading: Reading, items: Sequence[PlanItem], coverage: Measurement) -> dict[str, Any]:
    return {
        **coverage.as_dict(),
        "items": [
            {
                "question": item.question,
                "status": _plan_status(reading, item),
                "score": item.score,
                "asked": _spoken(reading, item.asked) if item.asked else None,
            }
            for item in items
        ],
    }


def _plan_status(reading: Reading, item: PlanItem) -> str:
    if item.score is None or not reading.sentences:
        return "not_measurable"
    return "asked" if item.asked else "not_found"


def _not_found(reading: Reading, items: Sequence[PlanItem]) -> list[str]:
    return [item.question for item in items if _plan_status(reading, item) == "not_found"]


def _risk_flags(reading: Reading, items: Sequence[PlanItem], language: str) -> list[str]:
    """Say what makes the record or the interview incomplete; never anything about a person."""
    flags: list[str] = []
    if reading.session.gaps:
        flags.append(report_wording.GAPS[language].format(n=len(reading.session.gaps)))
    known = reading.attributed_share
    if known is not None and not reading.attributed:
        percent = round(100 * (1 - known))
        flags.append(report_wording.UNATTRIBUTED[language].format(percent=percent))
    if reading.times.estimated:
        flags.append(report_wording.ESTIMATED[language].format(n=reading.times.estimated))
    roles = talk.role_share(reading)
    if not isinstance(roles, Measurement):
        ours, theirs = roles[INTERVIEWER].value or 0.0, roles[CANDIDATE].value or 0.0
        if reading.candidates and ours > theirs:
            flags.append(
                report_wording.INTERVIEWER_TALKS_MORE[language].format(percent=round(100 * ours))
            )
    missing = _not_found(reading, items)
    if missing:
        flags.append(report_wording.NOT_FOUND[language].format(n=len(missing)))
    return flags


def _recommendation(reading: Reading, items: Sequence[PlanItem], language: str) -> str:
    """Name what the next interviewer should check, or nothing; never a verdict on a person."""
    parts: list[str] = []
    missing = _not_found(reading, items)
    if missing:
        quotes = listed(missing, language)
        parts.append(report_wording.CHECK_PLAN[language].format(quotes=quotes))
    unanswered = [
        question.sentence.text
        for index, question in enumerate(reading.questions)
        if question.sentence.speaker in reading.interviewers
        and index not in reading.answers
        and _why_unanswered(reading, index) == "no_reply"
    ]
    if unanswered:
        quotes = listed(unanswered, language)
        parts.append(report_wording.CHECK_UNANSWERED[language].format(quotes=quotes))
    return " ".join(parts)


def _method(reading: Reading) -> dict[str, Any]:
    words = len(reading.times.words)
    timing = "estimated" if words and reading.times.estimated == words else "recognised"
    if 0 < reading.times.estimated < words:
        timing = "mixed"
    return {
        "version": METHOD_VERSION,
        "timing": timing,
        "words_with_estimated_timing": reading.times.estimated,
        "words_with_adjusted_timing": reading.times.adjusted,
        "channels_separate": reading.session.channels_separate,
        "verbatim": reading.session.verbatim,
        "summary": SUMMARY_METHOD,
        "parameters": {
            "join_gap_s": seconds(conversation.JOIN_GAP_MS),
            "backchannel_max_s": seconds(conversation.BACKCHANNEL_MAX_MS),
            "backchannel_reach_s": seconds(conversation.BACKCHANNEL_REACH_MS),
            "interruption_overlap_s": seconds(conversation.INTERRUPTION_OVERLAP_MS),
            "interruption_stop_s": seconds(conversation.INTERRUPTION_STOP_MS),
            "long_pause_s": seconds(conversation.LONG_PAUSE_MS),
            "rate_min_speech_s": seconds(RATE_MIN_SPEECH_MS),
            "sample_min": SAMPLE_MIN,
            "attributed_min": ATTRIBUTED_MIN,
            "plan_match_min": MATCH_MIN,
        },
    }
