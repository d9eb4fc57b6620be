"""Limits by caller: rates, guesses, and what is held open."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from interview_agent.domain.errors import RateLimited
from interview_agent.web.rates import MOST_REMEMBERED, Buckets, RateLimits, Rates


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_bucket_gives_its_burst_and_then_its_rate(clock: Clock) -> None:
    bucket = Buckets(2.0, 4.0, clock=clock)
    assert [bucket.take("a") for _ in range(5)] == [0, 0, 0, 0, 0.5]
    clock.now_s += 0.5
    assert [bucket.take("a") for _ in range(2)] == [0, 0.5]
    clock.now_s += 1000
    assert [bucket.take("a") for _ in range(5)] == [0, 0, 0, 0, 0.5]


def test_asking_in_vain_does_not_make_the_wait_longer(clock: Clock) -> None:
    bucket = Buckets(1.0, 1.0, clock=clock)
    bucket.take("a")
    assert [bucket.take("a") for _ in range(100)] == [1.0] * 100
    clock.now_s += 1
    assert bucket.take("a") == 0


def test_callers_do_not_share_a_bucket(clock: Clock) -> None:
    bucket = Buckets(1.0, 1.0, clock=clock)
    assert [bucket.take("a"), bucket.take("b"), bucket.take("a")] == [0, 0, 1.0]


def test_looking_takes_nothing(clock: Clock) -> None:
    bucket = Buckets(1.0, 1.0, clock=clock)
    assert [bucket.wait_s("a") for _ in range(3)] == [0, 0, 0]
    assert len(bucket) == 0
    bucket.take("a")
    assert bucket.wait_s("a") == 1.0


def test_memory_is_bounded_and_who_asks_on_is_not_forgotten(clock: Clock) -> None:
    bucket = Buckets(0.001, 1.0, clock=clock)
    bucket.take("busy")
    for number in range(MOST_REMEMBERED * 2):
        bucket.take(f"other {number}")
        assert bucket.take("busy") > 0
    assert len(bucket) == MOST_REMEMBERED


def test_two_hundred_live_streams_of_one_address_are_admitted(clock: Clock) -> None:
    rates = Rates(RateLimits(), clock=clock)
    with ExitStack() as held:
        for _ in range(200):
            held.enter_context(rates.holding("farm", "192.0.2.1"))
        # Each opens its meeting and its socket, then sends four chunks a second.
        for _ in range(2 * 200):
            rates.asked_from("192.0.2.1")
            rates.asked_by("farm")
        for _ in range(60):
            clock.now_s += 1
            for _ in range(4 * 200):
                rates.asked_from("192.0.2.1")
                rates.asked_by("farm")


def test_a_refusal_says_in_whole_seconds_when_to_come_back(clock: Clock) -> None:
    rates = Rates(RateLimits(requests_per_s_of_identity=0.5), clock=clock)
    rates.asked_by("a")
    clock.now_s += 0.5
    with pytest.raises(RateLimited) as refused:
        rates.asked_by("a")
    assert refused.value.retry_after_s == 2
    clock.now_s += 2
    rates.asked_by("a")


def test_guesses_lock_their_address_alone_and_not_for_ever(clock: Clock) -> None:
    rates = Rates(RateLimits(bad_credentials_per_minute=60), clock=clock)
    for _ in range(60):
        rates.check_guesses("evil")
        rates.guessed("evil")
    with pytest.raises(RateLimited):
        rates.check_guesses("evil")
    rates.check_guesses("good")
    clock.now_s += 1
    rates.check_guesses("evil")


def test_places_are_given_back_however_their_holder_ends(clock: Clock) -> None:
    rates = Rates(RateLimits(held_by_identity=1, held_by_address=2), clock=clock)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), rates.holding("a", "home"):
            raise ZeroDivisionError
    with rates.holding("a", "home"):
        with pytest.raises(RateLimited), rates.holding("a", "elsewhere"):
            pass
        with (
            rates.holding("b", "home"),
            pytest.raises(RateLimited),
            rates.holding("c", "home"),
        ):
            pass
        with rates.holding("b", "home"):
            pass
