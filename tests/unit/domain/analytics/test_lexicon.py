"""What counts as a question, a filler, a form of the same word."""

from __future__ import annotations

import pytest

from interview_agent.domain.analytics.lexicon import (
    classify_question,
    count_fillers,
    language_of,
    stem,
)


@pytest.mark.parametrize(
    ("sentence", "kind"),
    [
        ("А почему?", "open"),
        ("Вы там что делали?", "open"),
        ("О чём вы говорили?", "open"),
        ("Можете рассказать о себе?", "open"),
        ("Расскажите про проект.", "open"),
        ("Как вы решали это", "open"),
        ("Вы знаете, где он?", "closed"),
        ("Работали ли вы с Kafka.", "closed"),
        ("У вас есть вопросы?", "closed"),
        ("Лучше, чем раньше?", "closed"),
        ("Как вы знаете, мы росли.", None),
        ("Что касается базы, мы её переписали.", None),
        ("Когда вы позвонили, я был дома.", None),
        ("So what did you do?", "open"),
        ("Could you walk me through it?", "open"),
        ("Tell me about it.", "open"),
        ("In what way?", "open"),
        ("How would you scale it", "open"),
        ("Have you worked where it hurts?", "closed"),
        ("Do you like it", "closed"),
        ("You built it?", "closed"),
        ("What is important is the team.", None),
        ("I know what you mean.", None),
        ("?", None),
    ],
)
def test_questions_are_known_by_their_mark_or_their_opening(
    sentence: str, kind: str | None
) -> None:
    assert classify_question(sentence.split(), asked=sentence.endswith("?")) == kind


@pytest.mark.parametrize(
    ("said", "fillers"),
    [
        ("Ну, это, как бы, эээ, работает", 3),
        ("In general, you know, um, it works, basically", 3),
        ("длина 5 мм", 0),
        ("мы типа короче сделали", 2),
    ],
)
def test_fillers_are_counted_with_the_longest_phrase_first(said: str, fillers: int) -> None:
    assert count_fillers(said.split()) == fillers


@pytest.mark.parametrize(
    ("one", "other"),
    [("проекта", "проект"), ("Очереди,", "очередь"), ("deployed", "deploy"), ("tests", "testing")],
)
def test_forms_of_a_word_share_a_stem(one: str, other: str) -> None:
    assert stem(one) == stem(other)


def test_the_alphabet_tells_the_language() -> None:
    assert language_of(["Мы писали на Python"]) == "ru"
    assert language_of(["We wrote it"]) == "en"
    assert language_of(["123"]) is None
