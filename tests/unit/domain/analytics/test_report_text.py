"""A report as plain text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings

from interview_agent.domain.analytics.report import build_report
from interview_agent.domain.analytics.report_text import clock, format_report
from spoken_interview import interview, sessions

if TYPE_CHECKING:
    from interview_agent.domain.analytics.reading import InterviewSession

LINES = (
    ("Анна", 1.0, "Какие метрики вы смотрели?"),
    ("Олег", 65.0, "Мы смотрели задержку и долю ошибок."),
)


def shown(language: str | None) -> str:
    gap = {"track": "main", "first_seq": 3, "last_seq": 5}
    session = interview(*LINES, language="ru", gaps=[gap], plan=["Опыт с Kafka"])
    return format_report(build_report(session), language)


def test_a_russian_report_reads_in_russian() -> None:
    text = shown(None)
    assert text.startswith("Отчёт об интервью · 02:00\n")
    assert "[01:05] Олег: Мы смотрели задержку и долю ошибок." in text
    assert "1. [00:01] Анна: Какие метрики вы смотрели?" in text
    assert "дорожка main: 3–5" in text
    assert "Опыт с Kafka: не найден в расшифровке" in text
    assert "не измерено (мало речи)" in text
    assert text.endswith("\n")


def test_headings_can_be_english_around_russian_quotes() -> None:
    text = shown("en")
    assert "Questions and answers" in text
    assert "not measured (too little speech)" in text
    assert "Олег: Мы смотрели задержку и долю ошибок." in text


@pytest.mark.parametrize(("seconds", "shown_as"), [(0, "00:00"), (61.9, "01:01"), (7200, "120:00")])
def test_times_are_minutes_and_seconds(seconds: float, shown_as: str) -> None:
    assert clock(seconds) == shown_as


@settings(max_examples=60, deadline=None, derandomize=True)
@given(sessions())
def test_every_report_can_be_rendered_and_loses_no_quote(session: InterviewSession) -> None:
    report = build_report(session)
    for language in ("ru", "en"):
        text = format_report(report, language)
        assert "None" not in text
        assert all(" ".join(one["text"].split()) in text for one in report["summary_quotes"])
        assert all(" ".join(one["text"].split()) in text for one in report["questions"])
