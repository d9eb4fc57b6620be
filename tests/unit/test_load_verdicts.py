"""The verdict of the load smoke."""

from __future__ import annotations

from dataclasses import replace

import pytest

from load_verdicts import BY_HAND, IN_PIPELINES, Figures, Results, judge, p95

GOOD = Figures(meetings=20, ack_ms=[10.0] * 60, done_s=[3.0] * 20, took_s=60.0)
STRANGERS = {"service key at /v1/ws": 403, "user at /v1/ws/internal": 401}


def _results(**changes: object) -> Results:
    good = Results(http=GOOD, socket=GOOD, given_up=0, strangers=STRANGERS)
    return replace(good, **changes)  # type: ignore[arg-type]


def _missed(results: Results) -> list[str]:
    return [each.name for each in judge(results, BY_HAND) if each.kept is False]


def test_the_95th_percentile_is_the_nearest_rank() -> None:
    assert p95([float(value) for value in range(100, 0, -1)]) == 95.0
    assert p95([7.0]) == 7.0
    assert p95([]) == float("inf")


def test_good_results_keep_every_limit() -> None:
    for limits in (BY_HAND, IN_PIPELINES):
        assert all(each.kept for each in judge(_results(), limits))


@pytest.mark.parametrize(
    ("changes", "missed"),
    [
        ({"done_s": [3.0] * 17}, "failed meetings"),
        ({"done_s": [3.0] * 18 + [61.0] * 2}, "report, p95"),
        ({"took_s": 301.0}, "meetings a minute"),
    ],
)
@pytest.mark.parametrize("way", ["http", "socket"])
def test_each_limit_is_missed_by_itself_over_http_and_over_websocket(
    way: str, changes: dict[str, object], missed: str
) -> None:
    bad = replace(GOOD, **changes)  # type: ignore[arg-type]
    (name,) = _missed(_results(**{way: bad}))
    assert name.startswith({"http": "HTTP: ", "socket": "WebSocket: "}[way])
    assert name.endswith(missed)


def test_a_frame_has_less_time_for_its_ack_than_a_chunk() -> None:
    late = replace(GOOD, ack_ms=[10.0] * 56 + [121.0] * 4)
    assert _missed(_results(http=late, socket=late)) == ["WebSocket: ack of a frame, p95"]
    assert all(each.kept for each in judge(_results(socket=late), IN_PIPELINES))
    later = replace(GOOD, ack_ms=[10.0] * 56 + [701.0] * 4)
    assert _missed(_results(http=later)) == ["HTTP: ack of a chunk, p95"]


def test_work_that_was_given_up_on_is_missed() -> None:
    assert _missed(_results(given_up=1)) == ["work given up on"]


@pytest.mark.parametrize("status", [101, 404, 429, 503])
@pytest.mark.parametrize("name", list(STRANGERS))
def test_only_401_and_403_refuse_a_stranger(name: str, status: int) -> None:
    assert _missed(_results(strangers={**STRANGERS, name: status})) == [name]


def test_nothing_that_came_through_is_no_success() -> None:
    nothing = replace(GOOD, ack_ms=[], done_s=[])
    assert len(_missed(_results(http=nothing, socket=nothing))) == 8


def test_what_no_key_was_there_for_is_neither_kept_nor_missed() -> None:
    unasked = _results(given_up=None, strangers={**STRANGERS, "service key at /v1/ws": None})
    open_ = [each for each in judge(unasked, BY_HAND) if each.kept is None]
    assert [(each.name, each.value) for each in open_] == [
        ("work given up on", "not measured (no service key)"),
        ("service key at /v1/ws", "not checked (no service key)"),
    ]
