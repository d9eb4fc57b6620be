"""The report without a language model: its quotes, figures, gates and form."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interview_agent.domain.analytics.measures.catalogue import MEASURES
from interview_agent.domain.analytics.measures.plan import planned_questions
from interview_agent.domain.analytics.reading import InterviewSession
from interview_agent.domain.analytics.report import build_report
from spoken_interview import interview, segment, sessions

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

ROLES = {"Анна": "interviewer", "Олег": "candidate"}
LONG = "Мы строили платёжный шлюз на питоне. Нагрузка выросла в десять раз за один год. " * 4

LINES = (
    ("Анна", 1.0, "Добрый день. Расскажите, пожалуйста, про ваш последний проект?"),
    ("Олег", 8.0, LONG.strip()),
    ("Анна", 45.0, "Какие метрики вы смотрели?"),
    ("Олег", 48.0, "Задержку и долю ошибок."),
    ("Анна", 52.0, "Есть ли у вас вопросы?"),
)


def russian(**known: Any) -> InterviewSession:
    return interview(
        *LINES, **{"roles": ROLES, "language": "ru", "channels_separate": True, **known}
    )


def printed_quotes(report: dict[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """Every verbatim text of a report with the segments that it names."""
    for quote in report["summary_quotes"]:
        yield quote["text"], quote["segment_ids"]
    for question in report["questions"]:
        yield question["text"], question["segment_ids"]
        if question["answer"]:
            yield question["answer"]["text"], question["answer"]["segment_ids"]
    for answer in report["longest_answers"]:
        yield answer["text"], answer["segment_ids"]
        yield answer["question"]["text"], answer["question"]["segment_ids"]
    for item in report["plan_coverage"]["items"]:
        if item["asked"]:
            yield item["asked"]["text"], item["asked"]["segment_ids"]


def figures(report: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every figure of a report."""
    for figure in report["metrics"].values():
        if isinstance(figure.get("status"), str):
            yield figure
        else:
            yield from figure.values()


@settings(max_examples=150, deadline=None, derandomize=True)
@given(sessions())
def test_every_printed_quote_stands_in_the_segments_that_it_names(
    session: InterviewSession,
) -> None:
    texts = {one.segment_id: one.text for one in session.segments}
    speakers = {one.segment_id: one.speaker for one in session.segments}
    report = build_report(session)
    for text, ids in printed_quotes(report):
        assert text
        assert text in " ".join(texts[one] for one in ids)
        assert len({speakers[one] for one in ids}) == 1
    quoted = {quote["text"] for quote in report["summary_quotes"]}
    assert set(report["bullets"]) == quoted
    if quoted:
        assert all(any(line in quote for quote in quoted) for line in report["summary"].split("\n"))


@settings(max_examples=80, deadline=None, derandomize=True)
@given(sessions())
def test_every_figure_is_well_formed_and_null_only_with_a_reason(
    session: InterviewSession,
) -> None:
    report = build_report(session)
    json.dumps(report, allow_nan=False)
    ids = {one.segment_id for one in session.segments}
    for figure in figures(report):
        assert figure["status"] in ("ok", "low_sample", "not_measurable")
        assert (figure["value"] is None) == (figure["status"] == "not_measurable")
        assert (figure["reason"] is None) == (figure["status"] == "ok")
        assert figure["method_version"] == "1"
        assert all(span["segment_id"] in ids for span in figure["evidence"])
        assert all(span["start"] <= span["end"] for span in figure["evidence"])
        if figure["unit"] == "share" and figure["value"] is not None:
            assert 0 <= figure["value"] <= 1


@settings(max_examples=40, deadline=None, derandomize=True)
@given(sessions(), st.randoms(use_true_random=False))
def test_the_order_of_the_segments_changes_nothing(
    session: InterviewSession, chance: random.Random
) -> None:
    mixed = chance.sample(list(session.segments), len(session.segments))
    assert build_report(replace(session, segments=mixed)) == build_report(session)


def test_questions_come_with_kind_place_and_answer() -> None:
    first, second, last = build_report(russian())["questions"]
    assert first["text"] == "Расскажите, пожалуйста, про ваш последний проект?"
    assert (first["kind"], first["segment_id"], first["start"]) == ("open", "seg_000001", 2.0)
    assert (first["answer"]["speaker"], first["answer"]["words"]) == ("Олег", 56)
    assert first["answer"]["seconds"] == 27.9
    assert second["answer"]["text"] == "Задержку и долю ошибок."
    assert second["answer"]["segment_ids"] == ["seg_000004"]
    assert (last["kind"], last["answer"], last["answer_reason"]) == ("closed", None, "no_reply")


def test_a_question_of_ones_own_does_not_end_an_answer() -> None:
    report = build_report(
        interview(
            ("Анна", 1.0, "Почему Kafka?"),
            ("Олег", 3.0, "А что ещё? Нам нужна очередь."),
            ("Анна", 8.0, "Ясно."),
            ("Олег", 9.0, "И порядок сообщений важен."),
            roles=ROLES,
        )
    )
    assert report["questions"][0]["answer"]["words"] == 10
    assert report["questions"][0]["answer"]["segment_ids"] == ["seg_000002", "seg_000004"]


def test_punctuation_that_stands_alone_is_no_word_of_an_answer() -> None:
    report = build_report(
        interview(
            ("Анна", 1.0, "Что такое Kafka?"), ("Олег", 3.0, "Kafka — это очередь."), roles=ROLES
        )
    )
    assert report["questions"][0]["answer"]["words"] == 3
    assert report["longest_answers"][0]["words"] == 3
    assert report["metrics"]["answer_length_words"]["value"] == 3


def test_a_question_followed_by_another_one_leaves_the_answer_to_it() -> None:
    first, second = build_report(
        interview(("A", 1.0, "Как дела? Что нового?"), ("B", 5.0, "Всё хорошо, спасибо."))
    )["questions"]
    assert (first["answer"], first["answer_reason"]) == (None, "next_question_followed")
    assert second["answer"]["text"] == "Всё хорошо, спасибо."


def test_a_sentence_over_two_segments_of_a_turn_is_one_quote_that_names_both() -> None:
    report = build_report(
        interview(
            ("A", 1.0, "Расскажите про ваш"),
            ("A", 3.0, "последний проект?"),
            ("B", 5.0, "Это был шлюз."),
        )
    )
    assert report["questions"][0]["text"] == "Расскажите про ваш последний проект?"
    assert report["questions"][0]["segment_ids"] == ["seg_000001", "seg_000002"]


def test_speech_outside_turns_is_never_joined_over_what_others_said() -> None:
    """Олег's "угу" and "да" are back-channels on two places of Анна's long turn."""
    report = build_report(
        interview(
            ("Анна", 0.0, LONG.strip()), ("Олег", 3.0, "угу"), ("Олег", 9.0, "да"), roles=ROLES
        )
    )
    assert "угу да" not in json.dumps(report, ensure_ascii=False)
    assert {quote["text"] for quote in report["summary_quotes"]} == {"угу", "да"}


def test_a_thing_said_twice_is_quoted_once() -> None:
    texts = [quote["text"] for quote in build_report(russian())["summary_quotes"]]
    assert texts[0] == "Мы строили платёжный шлюз на питоне."
    assert len(texts) == len(set(texts)) == 2


def test_the_opening_of_a_turn_outweighs_an_equal_sentence_after_it() -> None:
    told = "Первый шаблон пишет второй модуль снова. Третий сервис читает пятый журнал заново."
    quotes = build_report(interview(("A", 1.0, told)))["summary_quotes"]
    assert [quote["score"] > 0 for quote in quotes] == [True, True]
    assert quotes[0]["score"] == pytest.approx(1.2 * quotes[1]["score"], abs=1e-3)


def test_quotes_come_from_the_enhanced_text_with_the_times_of_its_words() -> None:
    raw = segment(1, "A", 0.0, "ну эээ мы строили платёжный шлюз на питоне")
    enhanced = replace(raw, text="Мы строили платёжный шлюз на питоне.")
    report = build_report(InterviewSession(segments=[enhanced], duration_s=9.0))
    quote = report["summary_quotes"][0]
    assert (quote["text"], quote["start"], quote["end"]) == (enhanced.text, 1.0, 3.9)


@pytest.mark.parametrize(
    ("language", "said"), [("ru", "Речь не распознана."), ("en-GB", "No speech was recognised.")]
)
def test_an_empty_transcript_says_so_and_measures_nothing(language: str, said: str) -> None:
    report = build_report(InterviewSession(segments=[], duration_s=30.0, language=language))
    assert report["summary"] == said
    assert (report["bullets"], report["questions"], report["recommendation"]) == ([], [], "")
    assert {figure["status"] for figure in figures(report)} == {"not_measurable"}
    assert set(report["metrics"]) == {*MEASURES, "plan_coverage"}


def test_mono_speech_of_nobody_known_keeps_what_needs_no_speaker() -> None:
    report = build_report(
        interview((None, 1.0, "Что вы строили?"), (None, 9.0, "Платёжный шлюз на питоне и базу."))
    )
    metrics = report["metrics"]
    assert metrics["talk_share"]["reason"] == "unattributed_speech"
    assert metrics["attributed_share"]["value"] == 0.0
    assert metrics["long_pauses"]["value"] == 1
    assert metrics["silence_ratio"]["status"] == "ok"
    assert report["questions"][0]["answer_reason"] == "unattributed_speech"
    assert report["summary_quotes"][0]["speaker"] is None


@pytest.mark.parametrize(("unknown_words", "measured"), [(2, True), (5, False)])
def test_figures_per_speaker_need_95_percent_of_the_speech_attributed(
    unknown_words: int, measured: bool
) -> None:
    """A speaks for 24.9 s; two unknown words (0.9 s) are 3.5 %, five (2.4 s) are 8.8 %."""
    report = build_report(
        interview(
            ("A", 0.0, " ".join(["слово"] * 50)), (None, 30.0, " ".join(["а"] * unknown_words))
        )
    )
    assert (report["metrics"]["talk_share"]["A"]["value"] is not None) is measured


def test_gates_name_their_reason() -> None:
    metrics = build_report(
        interview(("A", 1.0, "да и нет"), ("B", 4.0, "нет и да"), verbatim=False)
    )["metrics"]
    reasons = {
        name: figure["reason"] if isinstance(figure.get("status"), str) else figure["A"]["reason"]
        for name, figure in metrics.items()
    }
    assert {name: reason for name, reason in reasons.items() if reason} == {
        "role_share": "no_roles",
        "overlap_s": "channels_not_separate",
        "panel_balance": "no_roles",
        "longest_answer_s": "no_roles",
        "response_latency_s": "no_observations",
        "thinking_time_s": "no_roles",
        "interruptions": "channels_not_separate",
        "questions": "no_punctuation",
        "questions_per_hour": "no_punctuation",
        "candidate_question_share": "no_roles",
        "answer_length_s": "no_roles",
        "answer_length_words": "no_roles",
        "pace_wpm": "too_little_speech",
        "letters_per_second": "too_little_speech",
        "fillers_per_100_words": "not_verbatim",
        "punctuality_s": "no_schedule",
        "plan_coverage": "no_plan",
    }


def test_figures_of_roles_are_those_worked_out_by_hand() -> None:
    """Анна says 8 + 4 + 5 words: 3.9 + 1.9 + 2.4 = 8.2 s. Олег says 56 + 4: 27.9 + 1.9 = 29.8 s.
    Олег begins 8.0 - 4.9 = 3.1 s and 48.0 - 46.9 = 1.1 s after a question.
    """
    metrics = build_report(
        russian(scheduled_at="2026-03-01T10:00:00+03:00", started_at="2026-03-01T07:02:30Z")
    )["metrics"]
    assert metrics["role_share"]["interviewer"]["value"] == round(8.2 / 38.0, 4)
    assert metrics["role_share"]["candidate"]["value"] == round(29.8 / 38.0, 4)
    assert (metrics["longest_answer_s"]["value"], metrics["longest_answer_s"]["n"]) == (27.9, 1)
    thinking = metrics["thinking_time_s"]["Олег"]
    assert (thinking["value"], thinking["p90"], thinking["n"]) == (2.1, 2.9, 2)
    assert (metrics["answer_length_s"]["value"], metrics["answer_length_s"]["n"]) == (14.9, 2)
    assert metrics["answer_length_words"]["value"] == 30
    assert metrics["candidate_question_share"]["value"] == 0.0
    assert metrics["punctuality_s"]["value"] == 150.0
    assert metrics["panel_balance"]["reason"] == "one_interviewer"


def test_rates_count_over_the_speech_of_the_speaker() -> None:
    """Sixty-one words of five letters in 0.5 * 61 - 0.1 = 30.4 s, two of them fillers."""
    text = " ".join(["ну", *["слово"] * 58, "типа", "конец."])
    metrics = build_report(interview(("A", 0.0, text), verbatim=True, language="ru"))["metrics"]
    letters = 2 + 58 * 5 + 4 + 5
    assert metrics["pace_wpm"]["A"]["value"] == round(61 * 60 / 30.4, 1)
    assert metrics["letters_per_second"]["A"]["value"] == round(letters / 30.4, 2)
    assert metrics["fillers_per_100_words"]["A"]["value"] == round(200 / 61, 2)


def test_a_panel_of_equal_talkers_is_in_balance() -> None:
    roles = {"A": "interviewer", "B": "interviewer", "C": "candidate"}
    lines = (("A", 0.0, "Раз два три."), ("B", 3.0, "Раз два три."), ("C", 6.0, "Четыре."))
    assert build_report(interview(*lines, roles=roles))["metrics"]["panel_balance"]["value"] == 1.0


@pytest.mark.parametrize(
    ("panel", "balance", "reason"),
    [
        ("A", None, "one_interviewer"),
        ("AS", 0.0, None),
        ("ABS", 0.6309, None),
        ("ABST", 0.5, None),
        ("ST", None, "no_speech"),
    ],
)
def test_a_silent_interviewer_puts_a_panel_out_of_balance(
    panel: str, balance: float | None, reason: str | None
) -> None:
    """A and B say the same; S and T say nothing: ln 2 / ln 3 = 0.6309, ln 2 / ln 4 = 0.5."""
    lines = (("A", 0.0, "Раз два три."), ("B", 3.0, "Раз два три."), ("C", 6.0, "Четыре."))
    roles = {"C": "candidate", **dict.fromkeys(panel, "interviewer")}
    figure = build_report(interview(*lines, roles=roles))["metrics"]["panel_balance"]
    assert (figure["value"], figure["reason"]) == (balance, reason)
    assert figure["n"] == len(panel)


def test_the_plan_is_matched_by_subject_words_and_the_rest_is_recommended() -> None:
    plan = ("Какие метрики смотрели?", "Опыт с Kafka", "Расскажите?")
    report = build_report(russian(plan=plan))
    asked, missing, unmeasured = report["plan_coverage"]["items"]
    assert (asked["status"], asked["asked"]["segment_id"]) == ("asked", "seg_000003")
    assert (missing["status"], missing["asked"]) == ("not_found", None)
    assert unmeasured["status"] == "not_measurable"
    assert report["plan_coverage"]["value"] == 0.5
    assert "«Опыт с Kafka»" in report["recommendation"]
    assert "«Есть ли у вас вопросы?»" in report["recommendation"]


def test_no_report_gives_a_verdict_on_a_person() -> None:
    report = build_report(russian(plan=("Опыт с Kafka",)))
    printed = json.dumps([report["recommendation"], report["risk_flags"]], ensure_ascii=False)
    assert not re.search(r"нанять|отказать|hire|reject", printed, re.IGNORECASE)


def test_gaps_and_versions_are_passed_through() -> None:
    gap = {"track": "main", "first_seq": 3, "last_seq": 5}
    report = build_report(russian(gaps=[gap], transcript_version=4, report_version=7))
    assert report["gaps"] == [gap]
    assert (report["schema_version"], report["version"]) == ("1", 7)
    assert report["provenance"]["transcript_version"] == 4
    assert "В записи есть пропуски: 1." in report["risk_flags"]


def test_estimated_times_are_stated() -> None:
    bare = replace(segment(1, "A", 0.0, "Просто текст без слов."), words=())
    report = build_report(InterviewSession(segments=[bare], duration_s=5.0))
    assert report["method"]["timing"] == "estimated"
    assert report["method"]["words_with_estimated_timing"] == 4


def test_planned_questions_are_read_from_the_context() -> None:
    context = {"plan": [" Один? ", {"question": "Два?"}, {"text": "Три?"}, 4, None, ""]}
    assert planned_questions(context) == ["Один?", "Два?", "Три?"]
    assert planned_questions({"plan": "нет"}) == []


def test_a_long_interview_is_reported_in_seconds() -> None:
    """12,000 words: a quadratic step anywhere would take minutes."""
    lines = [("A" if at % 2 else "B", at * 8.0, LONG[:80] + ".") for at in range(1000)]
    session = interview(*lines, duration_s=8000.0, channels_separate=True)
    began = perf_counter()
    build_report(session)
    assert perf_counter() - began < 10
