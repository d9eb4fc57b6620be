"""How many streams a worker says it can caption follows what they cost, slowly and never wildly."""

from __future__ import annotations

import pytest

from interview_agent.stt.capacity import CapacityGauge


def measured(gauge: CapacityGauge, load: float, streams: int, times: int) -> None:
    """Let so many streams cost so many thread seconds a second, in spans of two seconds."""
    busy_s = gauge._busy_s
    for _ in range(times):
        busy_s += load * streams * 2.0
        gauge.measure(busy_s, 2.0, streams)


def test_before_anything_ran_it_is_what_was_expected() -> None:
    assert CapacityGauge(2, 0.17).streams == pytest.approx(10.0)


def test_dear_streams_lower_it_step_by_step() -> None:
    gauge = CapacityGauge(2, 0.1)
    before = gauge.streams
    measured(gauge, 0.4, streams=3, times=1)
    assert before > gauge.streams > before / 2
    measured(gauge, 0.4, streams=3, times=100)
    assert gauge.streams == pytest.approx(2 * 0.85 / 0.4, rel=0.01)


def test_silent_streams_do_not_promise_room_for_many_more() -> None:
    gauge = CapacityGauge(2, 0.1)
    measured(gauge, 0.0, streams=8, times=1000)
    assert gauge.streams <= 2 * (2 * 0.85 / 0.1)


def test_a_time_without_streams_says_nothing() -> None:
    gauge = CapacityGauge(2, 0.1)
    before = gauge.streams
    gauge.measure(500.0, 2.0, streams=0)
    gauge.measure(500.0, 0.0, streams=4)
    assert gauge.streams == before
