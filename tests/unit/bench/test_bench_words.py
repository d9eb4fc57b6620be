"""Words made comparable, and error rates."""

from __future__ import annotations

import pytest

from captions.words import TimedWord, edits, plain, timed, word_error_rate


def test_case_marks_and_the_letter_yo_do_not_count_but_numbers_stay() -> None:
    assert plain("«Ещё раз, — сказал он: 15 раз!»") == ["еще", "раз", "сказал", "он", "15", "раз"]


def test_a_hyphen_parts_words_and_an_apostrophe_does_not() -> None:
    assert plain("wood-cutters don’t, don't") == ["wood", "cutters", "dont", "dont"]


def test_parts_of_one_word_share_its_times_and_marks_alone_are_no_word() -> None:
    assert timed([(" Well-known", 1, 2), ("–", 2, 3)]) == (
        TimedWord("well", 1.0, 2.0),
        TimedWord("known", 1.0, 2.0),
    )


@pytest.mark.parametrize(
    ("one", "other", "least"),
    [
        ("a b c", "a b c", 0),
        ("a b c", "a c", 1),
        ("a b c", "a x c", 1),
        ("a b c", "a b b c", 1),
        ("a b c", "", 3),
        ("", "a b", 2),
        ("a b c d", "b c d a", 2),
    ],
)
def test_edits_are_the_fewest(one: str, other: str, least: int) -> None:
    assert edits(one.split(), other.split()) == least


def test_an_error_rate_is_in_per_cent_of_the_reference_and_may_pass_a_hundred() -> None:
    assert word_error_rate(["a", "b", "c", "d"], ["a", "x", "d"]) == 50.0
    assert word_error_rate(["a"], ["b", "c", "d"]) == 300.0


def test_nothing_said_has_no_error_rate() -> None:
    with pytest.raises(ValueError, match="reference"):
        word_error_rate([], ["a"])
