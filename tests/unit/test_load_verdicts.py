"""The verdict of the load smoke."""

from __future__ import annotations

import pytest

from load_verdicts import BY_HAND, IN_PIPELINES, Figures, judge, p95


def _figures(**changes: object) -> Figures:
    good = {
        "meetings": 20,
        "ingest_ms": [10.0] * 60,
        "done_s": [3.0] * 20,
        "took_s": 60.0,
        "given_up": 0,
    }
    return Figures(**(good | changes))  # type: ignore[arg-type]


def test_the_95th_percentile_is_the_nearest_rank() -> None:
    assert p95([float(value) for value in range(100, 0, -1)]) == 95.0
    assert p95([7.0]) == 7.0
    assert p95([]) == float("inf")


def test_good_figures_keep_every_limit() -> None:
    for limits in (BY_HAND, IN_PIPELINES):
        assert all(each.kept for each in judge(_figures(), limits))


@pytest.mark.parametrize(
    ("changes", "missed"),
    [
        ({"done_s": [3.0] * 17}, "failed meetings"),
        ({"ingest_ms": [10.0] * 56 + [701.0] * 4}, "ack of a chunk, p95"),
        ({"done_s": [3.0] * 18 + [61.0] * 2}, "first chunk to report, p95"),
        ({"took_s": 301.0}, "meetings a minute"),
        ({"given_up": 1}, "work given up on"),
    ],
)
def test_each_limit_is_missed_by_itself(changes: dict[str, object], missed: str) -> None:
    verdicts = judge(_figures(**changes), BY_HAND)
    assert [each.name for each in verdicts if not each.kept] == [missed]


def test_nothing_that_came_through_is_no_success() -> None:
    verdicts = judge(_figures(ingest_ms=[], done_s=[]), BY_HAND)
    assert sum(each.kept is False for each in verdicts) == 4


def test_what_could_not_be_counted_is_neither_kept_nor_missed() -> None:
    (given_up,) = (each for each in judge(_figures(given_up=None), BY_HAND) if each.kept is None)
    assert given_up.name == "work given up on"
