"""Names and numbers of sound that is pulled from a gateway."""

from __future__ import annotations

import pytest

from interview_agent.domain.ids import MAX_SEQ, is_name
from interview_agent.domain.pulled_audio import (
    GatewayNumber,
    TrackNumbering,
    key_of,
    number_chunks,
    track_of,
)


def numbers(*seqs: int | None, epoch: int = 1) -> list[GatewayNumber]:
    return [GatewayNumber(f"{epoch}:{at}:{seq}", epoch, seq) for at, seq in enumerate(seqs)]


def number(
    given: list[GatewayNumber],
    before: TrackNumbering | None = None,
    *,
    join_epoch: int = 1,
    known: dict[str, int] | None = None,
    highest: int | None = None,
) -> tuple[list[int | None], TrackNumbering | None]:
    return number_chunks(given, before, join_epoch=join_epoch, known=known or {}, highest=highest)


@pytest.mark.parametrize("who", ["", "42", "Анна", "a/b?c", "x" * 256])
def test_every_participant_has_a_valid_track_that_never_changes(who: str) -> None:
    assert is_name(track_of(who))
    assert track_of(who) == track_of(who)
    assert track_of(who) != track_of(who + "2")


def test_an_id_that_cannot_be_a_key_becomes_a_digest() -> None:
    assert key_of("m1:p1:7") == "m1:p1:7"
    assert key_of("a\0b") != key_of("a\0c")
    assert all(
        len(key_of(each)) <= 200 and key_of(each).isprintable() for each in ("a\0", "x" * 999)
    )


def test_the_numbers_of_a_first_bot_stay_and_late_ones_find_their_place() -> None:
    given, numbering = number(numbers(3, 4, 6))
    assert given == [3, 4, 6]
    late, _ = number(numbers(5, 1), numbering, highest=6)
    assert late == [5, 1]


def test_a_new_bot_continues_behind_the_highest_number_without_a_hole() -> None:
    _, before = number(numbers(0, 1, 2))
    given, after = number(numbers(1, 2, epoch=2), before, highest=2)
    assert given == [3, 4]
    assert number(numbers(3, epoch=2), after, highest=4)[0] == [5]


def test_a_number_below_those_of_a_new_bot_has_no_place_any_more() -> None:
    _, before = number(numbers(0, 1, 2))
    _, after = number(numbers(5, 6, epoch=2), before, highest=2)
    assert number(numbers(4, epoch=2), after, highest=4)[0] == [None]
    assert number(numbers(2, epoch=1), after, highest=4)[0] == [None]


def test_a_gateway_that_does_not_count_its_bots_may_number_anew_after_each_join() -> None:
    _, before = number(numbers(0, 1, epoch=0), join_epoch=1)
    given, _ = number(numbers(0, 1, epoch=0), before, join_epoch=2, highest=1)
    assert given == [2, 3]


def test_what_was_numbered_before_keeps_its_number_also_from_an_older_bot() -> None:
    _, before = number(numbers(0, 1))
    _, after = number(numbers(0, epoch=2), before, highest=1)
    again = [*numbers(0, 1), *numbers(0, 1, epoch=2)]
    known = {again[0].key: 0, again[1].key: 1, again[2].key: 2}
    assert number(again, after, known=known, highest=2)[0] == [0, 1, 2, 3]


def test_unnumbered_chunks_get_the_next_numbers_in_order_of_arrival() -> None:
    given, numbering = number([GatewayNumber(key, 0, None) for key in ("a", "b", "a", "c")])
    assert given == [0, 1, 0, 2]
    again = [GatewayNumber(key, 0, None) for key in ("c", "d")]
    assert number(again, numbering, known={"c": 2}, highest=2)[0] == [2, 3]


def test_a_number_that_is_too_large_has_no_place() -> None:
    assert number(numbers(MAX_SEQ, 0))[0] == [MAX_SEQ, 0]
    _, before = number(numbers(0))
    assert number(numbers(0, MAX_SEQ, epoch=2), before, highest=0)[0] == [1, None]
