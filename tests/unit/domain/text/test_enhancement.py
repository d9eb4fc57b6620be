"""Enhancement makes recognised text readable and never changes what was said."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from interview_agent.domain.text.enhancement import enhance, runs_on

if TYPE_CHECKING:
    from collections.abc import Sequence

    from interview_agent.domain.transcript import Change

RELAXED = settings(deadline=None, database=None)
RULES = {"filler_cleanup", "whitespace_normalize", "casing", "final_punct"}

CLEANED = [
    ("ru", "ну, я думаю", "Я думаю."),
    ("ru", "Ну, я думаю.", "Я думаю."),
    ("ru", "я ээ думаю", "Я думаю."),
    ("ru", "Я э-э-э думаю, эм, что да", "Я думаю, что да."),
    ("ru", "Ээ... я думаю, ээ.", "Я думаю."),
    ("ru", "Ммм, наверное, да", "Наверное, да."),
    ("ru", "Да, мм, наверное", "Да, наверное."),
    ("ru", "я мм думаю", "Я думаю."),
    ("ru", "это, как бы, сложно", "Это сложно."),
    ("ru", "Ну, ээ, короче, это, как бы, сложно.", "Это сложно."),
    ("ru", "Короче, мы переехали", "Мы переехали."),
    ("ru", "В общем, мы переехали", "Мы переехали."),
    ("ru", "Типа, я не знал", "Я не знал."),
    ("ru", "Я, типа, не знал", "Я не знал."),
    ("ru", "Я не знал, так сказать.", "Я не знал."),
    ("ru", "Мы, это самое, переехали", "Мы переехали."),
    ("ru", "Я думаю, ну, что это верно", "Я думаю, что это верно."),
    ("ru", "Это сложно, ээ?", "Это сложно?"),
    ("ru", "Я — ээ — думаю", "Я — думаю."),
    ("ru", "— Ээ, да", "— Да."),
    ("ru", "Хорошо. Ээ. Дальше", "Хорошо. Дальше."),
    ("ru", "Да, ээ, нет", "Да, нет."),
    ("ru", "Яблоки, ээ, груши", "Яблоки, груши."),
    ("ru-RU", "Ну, я думаю", "Я думаю."),
    ("en", "um, I think so", "I think so."),
    ("en", "I uh think, um, so", "I think, so."),
    ("en", "It was, you know, hard", "It was hard."),
    ("en", "I mean, it was hard", "It was hard."),
    ("en", "It was, like, hard", "It was hard."),
    ("en", "You know, er, we moved", "We moved."),
    ("en", "It was hard, you know.", "It was hard."),
    ("en", "React, uh, Native", "React, Native."),
    ("en_US", "Uhm, yes", "Yes."),
    ("ru", "Ээ.", ""),
    ("ru", "ну, ээ", ""),
    ("en", "Um, uh, er...", ""),
    ("ru", "", ""),
    ("ru", "  \n", ""),
]

KEPT = [
    ("ru", "короче говоря, это было короче на 5 мм", "Короче говоря, это было короче на 5 мм."),
    ("ru", "Короче говоря, это было короче на 5 мм.", "Короче говоря, это было короче на 5 мм."),
    ("ru", "У нас два типа данных.", None),
    ("ru", "Типа данных здесь нет.", None),
    ("ru", "Ну и что?", None),
    ("ru", "Ну.", None),
    ("ru", "Ну, да.", None),
    ("ru", "Как бы ты решил?", None),
    ("ru", "Я хочу, как бы это сказать, уйти.", None),
    ("ru", "В общем случае это так.", None),
    ("ru", "В общем и целом хорошо.", None),
    ("ru", "Мы живём в общем доме.", None),
    ("ru", "Второй путь короче, первый длиннее.", None),
    ("ru", "Выше, короче, шире.", None),
    ("ru", "Короче.", None),
    ("ru", "Этот путь, думаю, короче.", None),
    ("ru", "Это самое важное.", None),
    ("ru", "Это самое, что я хотел.", None),
    ("ru", "Так сказать, что он прав, нельзя.", None),
    ("ru", "Зазор 5 мм, не больше.", None),
    ("ru", "Зазор пять мм.", None),
    ("ru", "Размеры в см, мм, км.", None),
    ("ru", "Мм?", None),
    ("ru", "Буква эм и буква э.", None),
    ("ru", "Языки, типа, Питон.", None),
    ("ru", "Он сказал «ээ» и замолчал.", None),
    ("ru", "ЭМ расчёт.", None),
    ("ru", "Ну-ну, посмотрим.", None),
    ("ru", "Угу.", None),
    ("en", "In general I like Python.", None),
    ("en", "You know Python.", None),
    ("en", "Do you know?", None),
    ("en", "As you know, we moved.", None),
    ("en", "It's hard, you know?", None),
    ("en", "Java, I mean, Python.", None),
    ("en", "I mean it.", None),
    ("en", "Languages, like, Python.", None),
    ("en", "Like, share, subscribe.", None),
    ("en", "It is 5 mm.", None),
    ("en", "The ER is closed.", None),
    ("en", "Uh-huh.", None),
    ("en", "Open um.py now.", None),
    ("en", "You know, that matters.", None),
    ("fr", "Um, oui.", None),
    ("de", "Um, er kommt.", None),
    (None, "Ну, ээ, да.", None),
]

SHAPED = [
    (None, "mock_transcript bytes=15 sr=16000", "mock_transcript bytes=15 sr=16000."),
    ("ru", "mock_transcript bytes=15 sr=16000", "mock_transcript bytes=15 sr=16000."),
    (None, "  a \t b\u00a0c\n", "A b c."),
    ("ru", "да , нет !", "Да, нет!"),
    ("ru", "да. нет? возможно! хорошо", "Да. Нет? Возможно! Хорошо."),
    ("ru", "«да», — сказал он", "«Да», — сказал он."),
    ("ru", "я... не знаю…", "Я... не знаю…"),
    ("ru", "например:", "Например:"),
    ("ru", "он сказал «да.»", "Он сказал «да.»"),
    ("ru", "это т. е. то и т. д. потом", "Это т. е. то и т. д. потом."),
    ("ru", "это 100%", "Это 100%."),
    ("ru", "мы остановились,", "Мы остановились,"),
    ("en", "iPhone is new. iOS too", "iPhone is new. iOS too."),
    ("en", "pip3 works. my_var too", "pip3 works. my_var too."),
    ("en", "https://example.org/a is down", "https://example.org/a is down."),
    ("en", "e.g. this", "e.g. this."),
    ("en", "don't know", "Don't know."),
    ("tr", "istanbul", "İstanbul."),
    ("en", "istanbul", "Istanbul."),
    ("ka", "არა", "არა."),
    ("de", "ßa", "ßa."),
]

PIECE_LIST = (
    "ну ээ эм мм ммм э-э типа как бы в общем короче так сказать это самое что да нет 5 выше"
    " um uh er you know i mean like was it that I React um.py ( ) « » , . ... … ! ? ; : — - я"
    ' ээ, ээ. ну, короче, бы, мм? know, mean, like, " т. е. vs. \t \u00a0 iPhone ÿ ß'
)
PIECES = st.sampled_from(PIECE_LIST.split(" "))
SPEECH = st.lists(st.tuples(PIECES, st.sampled_from(["", " ", " ", ", ", "  "])), max_size=14).map(
    lambda pairs: "".join(piece + gap for piece, gap in pairs)
)
TEXTS = SPEECH | st.text(max_size=40)
LANGUAGES = st.sampled_from(["ru", "en", "tr", None])


def replay(raw: str, changes: Sequence[Change]) -> str:
    done, text = 0, ""
    for change in changes:
        assert raw[change.start : change.start + len(change.before)] == change.before
        assert change.start >= done
        text += raw[done : change.start] + change.after
        done = change.start + len(change.before)
    return text + raw[done:]


@pytest.mark.parametrize(("language", "raw", "text"), CLEANED)
def test_fillers_go_and_leave_a_whole_sentence(language: str, raw: str, text: str) -> None:
    assert enhance(raw, language).text == text


@pytest.mark.parametrize(("language", "raw", "text"), KEPT)
def test_what_may_carry_meaning_stays(language: str | None, raw: str, text: str | None) -> None:
    assert enhance(raw, language).text == (raw if text is None else text)


@pytest.mark.parametrize(("language", "raw", "text"), SHAPED)
def test_spacing_case_and_final_mark(language: str | None, raw: str, text: str) -> None:
    assert enhance(raw, language).text == text


@pytest.mark.parametrize(("language", "raw", "_"), CLEANED + KEPT + SHAPED)
def test_every_example_is_stable_and_provable(language: str | None, raw: str, _: object) -> None:
    once = enhance(raw, language)
    assert replay(raw, once.changes) == once.text
    assert enhance(once.text, language).text == once.text


@RELAXED
@given(TEXTS, LANGUAGES)
@example("как ээ бы, да", "ru")
@example("x, как ээ бы, y", "ru")
def test_enhancing_the_result_changes_nothing(raw: str, language: str | None) -> None:
    text = enhance(raw, language).text
    again = enhance(text, language)
    assert again.text == text
    assert again.changes == ()


@RELAXED
@given(TEXTS, LANGUAGES)
def test_the_changes_replayed_on_the_raw_text_give_the_text(raw: str, language: str | None) -> None:
    result = enhance(raw, language)
    assert replay(raw, result.changes) == result.text
    assert {change.rule for change in result.changes} <= RULES


@RELAXED
@given(SPEECH, LANGUAGES)
def test_no_comma_is_doubled_or_left_leading(raw: str, language: str | None) -> None:
    text = enhance(raw, language).text
    squeezed = re.sub(r"\s+", " ", raw).strip()
    if not re.search(r", ?,", squeezed):
        assert ",," not in text
    if not squeezed.startswith(","):
        assert not text.startswith(",")


@RELAXED
@given(SPEECH)
def test_only_filler_words_ever_leave(raw: str) -> None:
    """Without the words of the filler list, raw and result have the same words in order."""
    fillers = " ну типа как бы в общем короче так сказать это самое "

    def words(text: str) -> list[str]:
        found = re.findall(r"[^\W_]+", text.lower())
        return [word for word in found if f" {word} " not in fillers and set(word) - set("эм")]

    assert words(enhance(raw, "ru").text) == words(raw)


def test_changes_name_rule_place_and_both_texts() -> None:
    changes = enhance("ну,  я думаю", "ru").changes
    assert [(c.rule, c.before, c.after, c.start) for c in changes] == [
        ("filler_cleanup", "ну, ", "", 0),
        ("whitespace_normalize", " ", "", 4),
        ("casing", "я", "Я", 5),
        ("final_punct", "", ".", 12),
    ]


@pytest.mark.parametrize(
    ("raw", "quality"), [("ну, мы да", 0.7), ("Да", 0.6), ("Да.", 0.6), ("Да:", 0.5), ("", 0.5)]
)
def test_quality_counts_shortening_and_a_final_mark(raw: str, quality: float) -> None:
    assert enhance(raw, "ru").quality == quality


@pytest.mark.parametrize("unit", ["ээ ", "ээ, ", "ну, ", "как бы, ", ", ", "ээ... ", "— ", "\t "])
def test_time_is_linear_on_hostile_text(unit: str) -> None:
    raw = unit * (100_000 // len(unit))
    started = time.perf_counter()
    enhance(raw, "ru")
    assert time.perf_counter() - started < 10


@pytest.mark.parametrize(
    ("raw", "following", "expected"),
    [
        ("a product that people", "use every day.", True),
        ("продукт, которым люди", "пользуются каждый день", True),
        ("That is all.", "and so on", False),
        ("I use open source models", "Python is one", False),
        ("mock_transcript bytes=15", "mock_transcript bytes=16", False),
        ("so we used", "iPhone only", False),
        ("the end", "", False),
        ("", "use", False),
    ],
)
def test_a_sentence_runs_on_only_into_a_plain_lower_case_word(
    raw: str, following: str, expected: bool
) -> None:
    assert runs_on(raw, following) is expected


def test_nothing_is_added_where_a_sentence_runs_on() -> None:
    assert enhance("a product that people", "en", closes=False).text == "A product that people"
    assert enhance("use every day", "en", opens=False).text == "use every day."
