"""How much misbehaviour is too much."""

from __future__ import annotations

import pytest

from interview_agent.web.live.conduct import (
    MOST_CONTROLS_PER_S,
    MOST_ERRORS_PER_MINUTE,
    MOST_TRESPASSES,
    Conduct,
    Window,
)
from interview_agent.web.live.parting import Parted


class Clock:
    """Tells the time it is told."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_a_window_is_passed_by_one_more_than_the_most_within_its_span() -> None:
    clock = Clock()
    window = Window(3, 1.0, clock)
    assert [window.passed() for _ in range(4)] == [False, False, False, True]
    clock.now_s += 1.0
    assert [window.passed() for _ in range(4)] == [False, False, False, True]


def test_what_is_spread_out_never_passes_a_window() -> None:
    clock = Clock()
    window = Window(2, 1.0, clock)
    for _ in range(100):
        assert not window.passed()
        clock.now_s += 0.5


def test_twenty_controls_a_second_are_fine_and_one_more_is_not() -> None:
    conduct = Conduct(Clock())
    for _ in range(MOST_CONTROLS_PER_S):
        conduct.controlled()
    with pytest.raises(Parted) as parted:
        conduct.controlled()
    assert (parted.value.code, parted.value.reason) == (1008, "rate")


def test_the_tenth_error_within_a_minute_is_one_too_many() -> None:
    clock = Clock()
    conduct = Conduct(clock)
    for _ in range(MOST_ERRORS_PER_MINUTE):
        conduct.erred()
        clock.now_s += 6.0
    with pytest.raises(Parted):
        conduct.erred()


def test_errors_that_a_minute_lies_between_are_forgiven() -> None:
    clock = Clock()
    conduct = Conduct(clock)
    for _ in range(50):
        conduct.erred()
        clock.now_s += 7.0


def test_the_third_meeting_of_others_is_one_too_many_however_long_it_takes() -> None:
    clock = Clock()
    conduct = Conduct(clock)
    for _ in range(MOST_TRESPASSES):
        conduct.trespassed()
        clock.now_s += 10_000.0
    with pytest.raises(Parted):
        conduct.trespassed()


@pytest.mark.parametrize(("code", "label"), [(1008, "1008"), (1006, "1006"), (4999, "other")])
def test_a_close_code_that_a_client_invents_makes_no_label_of_its_own(
    code: int, label: str
) -> None:
    assert Parted(code, "").code_label == label
