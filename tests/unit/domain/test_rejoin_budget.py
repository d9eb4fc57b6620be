"""When a bot may be sent again that nobody asked for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from interview_agent.domain.connector import REJOIN_BUDGET, EndReason, may_rejoin_now

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def before(*seconds: float) -> list[datetime]:
    return [NOW - timedelta(seconds=each) for each in seconds]


@pytest.mark.parametrize(
    ("rejoins", "allowed"),
    [
        ((), True),
        ((14.9,), False),
        ((15.0,), True),
        ((100.0, 29.0), False),
        ((100.0, 30.0), True),
        ((300.0, 200.0, 59.0), False),
        ((400.0, 300.0, 200.0, 120.0), True),
        ((590.0,) * REJOIN_BUDGET, False),
    ],
)
def test_pauses_double_until_the_budget_is_used_up(
    rejoins: tuple[float, ...], allowed: bool
) -> None:
    assert may_rejoin_now(before(*rejoins), NOW) is allowed


def test_nothing_is_begun_again_against_the_will_of_a_meeting() -> None:
    assert {reason for reason in EndReason if reason.may_rejoin} == {
        EndReason.CAPACITY_EXCEEDED,
        EndReason.NO_MEDIA,
        EndReason.LOST,
        EndReason.UNKNOWN,
    }
