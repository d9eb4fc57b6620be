"""When a word counts as shown and as committed."""

from __future__ import annotations

import pytest

from captions.delays import Caption, Delays, Reference, committed_words, measure, percentile
from captions.words import TimedWord


def words(text: str, start_s: float = 0.0, step_s: float = 0.5) -> tuple[TimedWord, ...]:
    """Return one word each `step_s`."""
    return tuple(
        TimedWord(word, start_s + at * step_s, start_s + (at + 1) * step_s)
        for at, word in enumerate(text.split())
    )


def partial(at_s: float, text: str, start_s: float = 0.0, segment_id: str = "s") -> Caption:
    return Caption(at_s, segment_id, words(text, start_s), durable=False)


def update(at_s: float, text: str, start_s: float = 0.0, segment_id: str = "s") -> Caption:
    return Caption(at_s, segment_id, words(text, start_s), durable=True)


def test_a_delay_counts_from_the_end_of_the_word_to_the_first_message_that_holds_it() -> None:
    delays = measure(words("one two"), [partial(0.9, "one"), partial(1.5, "one two")])
    assert delays.shown_s == pytest.approx({0: 0.4, 1: 0.5})


def test_a_partial_shows_and_only_an_update_commits() -> None:
    delays = measure(words("one two"), [partial(1.2, "one two"), update(3.0, "one two")])
    assert delays.shown_s == pytest.approx({0: 0.7, 1: 0.2})
    assert delays.committed_s == pytest.approx({0: 2.5, 1: 2.0})


def test_an_update_shows_what_no_partial_has_shown() -> None:
    assert measure(words("one"), [update(2.0, "one")]).shown_s == pytest.approx({0: 1.5})


def test_a_word_is_committed_only_from_the_update_on_after_which_it_never_left() -> None:
    captions = [update(1.0, "one two"), update(2.0, "one too"), update(3.0, "one two")]
    delays = measure(words("one two"), captions)
    assert delays.committed_s == pytest.approx({0: 0.5, 1: 2.0})


def test_a_word_that_a_later_update_drops_was_never_committed() -> None:
    delays = measure(words("one two"), [update(1.0, "one two"), update(2.0, "one")])
    assert set(delays.committed_s) == {0}
    assert delays.share == 0.5


def test_words_that_move_to_another_segment_stay_committed() -> None:
    captions = [
        update(1.5, "one two three"),
        update(2.0, "three", start_s=1.0, segment_id="t"),
        update(2.0, "one two"),
    ]
    delays = measure(words("one two three"), captions)
    assert delays.committed_s == pytest.approx({0: 1.0, 1: 0.5, 2: 0.0})


def test_a_segment_taken_back_takes_its_words_with_it() -> None:
    assert measure(words("one"), [update(1.0, "one"), update(2.0, "")]).committed_s == {}


def test_a_wrong_word_is_not_counted_and_does_not_shift_its_neighbours() -> None:
    delays = measure(words("one two three"), [update(2.0, "one tree three")])
    assert set(delays.committed_s) == {0, 2}


def test_equal_words_are_told_apart_by_their_times() -> None:
    said = words("the cat saw the dog and the bird")
    assert Reference(said).find(words("the dog", start_s=1.5)) == {3, 4}
    assert Reference(said).find(words("the bird", start_s=3.0)) == {6, 7}


def test_a_word_far_from_where_it_was_said_is_another_word() -> None:
    assert Reference(words("one")).find(words("one", start_s=2.6)) == set()
    assert Reference(words("one")).find(words("one", start_s=1.9)) == {0}


def test_what_was_not_begun_cannot_have_been_heard() -> None:
    said = words("yes no yes")
    assert Reference(said).find(words("yes", start_s=1.0), now_s=0.9) == {0}
    assert Reference(said).find(words("yes", start_s=1.0), now_s=1.1) == {2}


def test_the_first_shown_word_is_the_first_in_the_reference() -> None:
    delays = measure(words("one two"), [partial(1.0, "two", 0.5), partial(4.0, "one two")])
    assert delays.first_shown_s == pytest.approx(3.5)


@pytest.mark.parametrize(("lag_per_word_s", "grows"), [(0.0, False), (0.05, False), (0.5, True)])
def test_growth_is_the_last_third_above_the_first(lag_per_word_s: float, grows: bool) -> None:
    delays = Delays(words=30, committed_s={at: 1.0 + lag_per_word_s * at for at in range(30)})
    assert delays.growth_s == pytest.approx(20 * lag_per_word_s)
    assert (delays.growth_s > 1.0) == grows


def test_the_text_that_stands_is_the_latest_of_each_segment_by_time() -> None:
    captions = [
        update(1.0, "late", start_s=5.0, segment_id="b"),
        update(2.0, "wrong", segment_id="a"),
        update(3.0, "right", segment_id="a"),
        update(3.0, "gone", start_s=9.0, segment_id="c"),
        update(4.0, "", segment_id="c"),
        partial(5.0, "maybe", start_s=7.0, segment_id="d"),
    ]
    assert [word.text for word in committed_words(captions)] == ["right", "late"]


def test_a_percentile_is_a_value_that_occurred() -> None:
    assert percentile([3.0, 1.0, 2.0, 4.0], 50) == 2.0
    assert percentile(range(1, 101), 95) == 95
    assert percentile([7.0], 95) == 7.0
    assert percentile([], 95) is None
