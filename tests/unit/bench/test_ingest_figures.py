"""Where the knee is, when a flood is over, and what the last line says."""

from __future__ import annotations

from collections import Counter

import pytest

from captions.process_tree import Usage
from intake.figures import (
    MOST_STREAMS,
    Findings,
    Flood,
    Measured,
    find_knee,
    headline,
    normal_bound_ms,
    recovery_s,
)
from intake.floor import FloorResult
from intake.load import Outcome, Sample
from intake.report import report, targets
from intake.service import Watch


async def search(limit: int, runs: int = 99) -> tuple[list[int], int]:
    """Return the numbers tried on a machine that takes `limit` streams, and the knee found."""
    tried: list[int] = []

    async def holds(count: int) -> bool:
        tried.append(count)
        return count <= limit

    return tried, await find_knee(holds, lambda: len(tried) < runs)


@pytest.mark.parametrize("limit", [10, 37, 50, 99, 120, 250, 444, 799])
async def test_the_knee_is_found_within_a_fifth_and_never_overstated(limit: int) -> None:
    tried, knee = await search(limit)
    assert limit / 1.25 <= knee <= limit
    assert len(tried) <= 10
    assert len(set(tried)) == len(tried)


async def test_a_machine_that_takes_all_or_nothing_ends_the_search() -> None:
    assert await search(5000) == ([50, 100, 200, 400, 800], MOST_STREAMS)
    assert (await search(0))[1] == 0


async def test_a_search_without_time_gives_what_was_seen_to_hold() -> None:
    assert await search(300, runs=2) == ([50, 100], 100)
    assert await search(300, runs=0) == ([], 0)


def test_normal_is_twice_what_it_was_before_the_flood_or_the_target() -> None:
    assert normal_bound_ms([Sample(1.0, 20.0), Sample(9.0, 900.0)], 5.0) == 150.0
    assert normal_bound_ms([Sample(1.0, 200.0), Sample(9.0, 900.0)], 5.0) == 400.0


def test_a_flood_is_over_with_the_last_late_answer() -> None:
    normal = [Sample(float(at), 10.0) for at in range(30)]
    assert recovery_s(normal, 10.0, 150.0) == 0.0
    late = [*normal, Sample(9.5, 2500.0), Sample(12.0, 1000.0)]
    assert recovery_s(late, 10.0, 150.0) == pytest.approx(3.0)
    assert recovery_s([*normal, Sample(5.0, 1000.0)], 10.0, 150.0) == 0.0


def test_a_flood_that_is_felt_until_the_end_has_no_recovery() -> None:
    normal = [Sample(float(at), 10.0) for at in range(30)]
    assert recovery_s([*normal, Sample(28.5, 151.0)], 10.0, 150.0) is None
    assert recovery_s([*normal, Sample(29.0, None)], 10.0, 150.0) is None


def watch(*api_mb: float) -> Watch:
    """Return what an API used, a sample a second, half a CPU second each."""
    usage = [Usage(float(at), at / 2, mb, mb) for at, mb in enumerate(api_mb)]
    return Watch(
        {"api": usage, "postgres": usage, "worker": usage}, health_ms=[1.0] * 99 + [40.0] * 2
    )


def measured(
    *took_ms: float | None, refusals: dict[str, int] | None = None, mb: tuple[float, ...] = (90, 95)
) -> Measured:
    """Return a load of chunks that were all due at 1 s."""
    acks = [Sample(1.0, took) for took in took_ms]
    outcome = Outcome(0.0, float(len(mb) - 1), 0.1, acks, acks, [0.5], Counter(refusals or {}))
    return Measured("a load", outcome, watch(*mb))


def test_a_load_holds_when_all_of_it_is_acked_in_time() -> None:
    assert measured(10.0, 499.0).holds
    assert not measured(10.0, 501.0).holds
    assert not measured(10.0, None).holds
    assert not measured(10.0, refusals={"429": 1}).holds
    assert not measured().holds


def test_cpu_is_that_of_each_chunk_acked() -> None:
    assert measured(1.0, 1.0, None).cpu_per_chunk_ms("api") == pytest.approx(250.0)
    assert measured(None).cpu_per_chunk_ms("api") is None


def flood(refusals: dict[str, int], *api_mb: float) -> Flood:
    """Return a flood of some seconds beside one normal request."""
    return Flood(measured(10.0, refusals=refusals, mb=api_mb), Outcome(), 150.0)


def test_a_flood_tells_those_who_may_come_back_from_those_who_were_cut() -> None:
    found = flood({"429": 5, "503": 2, "503 without Retry-After": 1, "ConnectionResetError": 3}, 90)
    assert (found.told_to_wait, found.otherwise_refused) == (7, 4)


def test_a_flood_has_the_memory_of_each_half() -> None:
    assert flood({}, 90, 120, 110, 130, 100).halves_mb() == (120, 130)


def findings() -> Findings:
    """Return a whole run."""
    floor = FloorResult(written=400, took_s=2.0, cpu_s=0.4, p50_ms=10.0, p99_ms=30.0)
    return Findings(
        sync_ms=1.0,
        floors=[floor, FloorResult(200, 2.0, 0.4, 10.0, 30.0)],
        careless=floor,
        saturated=measured(*[500.0] * 180),
        paced=measured(9.0),
        streams=measured(*[12.0] * 98, 140.0, 140.0),
        ramp=[measured(10.0), measured(None)],
        streams_knee=300,
        listened=measured(120.0),
        flood=flood({"429": 5}, 90, 100, 105),
        others_cores={"a load": 1.3},
    )


def test_the_last_line_holds_what_was_measured() -> None:
    assert headline(findings()) == {
        "acked_per_s": 120.0,
        "floor_ratio": 0.8,
        "ack_p50_ms": 12.0,
        "ack_p99_ms": 140.0,
        "streams_knee": 300,
        "rss_mb": 95,
        "loop_lag_p99_ms": 40.0,
        "update_p99_ms": 120.0,
    }


def test_what_was_not_measured_is_null_and_meets_no_target() -> None:
    nothing = Findings()
    figures = headline(nothing)
    assert {name for name, value in figures.items() if value is not None} == {"streams_knee"}
    assert not any(target.is_met for target in targets(nothing, figures))
    assert "FAIL" in report(nothing, figures)


def test_the_report_names_the_loads_the_targets_and_the_work_of_others() -> None:
    run = findings()
    text = report(run, headline(run))
    assert "a load" in text
    assert "1 not acked" in text
    assert "5 x 429" in text
    assert "NOT QUIET" in text
    assert all(target.line() in text for target in targets(run, headline(run)))
