"""What a scrape shows of what was recorded."""

from __future__ import annotations

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from interview_agent.metrics import (
    AUDIO_HEARD,
    BUILD,
    CHUNKS_ACCEPTED,
    LEASES_LOST,
    METERS,
    QUEUE_DEPTH,
    REQUEST_LATENCY,
    REQUESTS,
    SYSTEM_READINESS,
    Metrics,
)

_SAMPLE = re.compile(r"(?P<name>[a-z_][a-z0-9_]*)(?:\{(?P<labels>.*)\})? (?P<value>\S+)")
_LABEL = re.compile(r'(?P<name>[a-z_]+)="(?P<value>(?:[^"\\\n]|\\["\\n])*)"(?:,|$)')
_UNESCAPED = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}

Sample = tuple[str, frozenset[tuple[str, str]]]


def _labels(text: str) -> frozenset[tuple[str, str]]:
    labels = []
    while text:
        match = _LABEL.match(text)
        assert match, f"not a label: {text}"
        value = re.sub(r"\\.", lambda found: _UNESCAPED[found[0]], match["value"])
        labels.append((match["name"], value))
        text = text[match.end() :]
    return frozenset(labels)


def _parse(exposition: str) -> dict[Sample, float]:
    """Read the text format 0.0.4 as its specification says; anything else fails the test."""
    samples: dict[Sample, float] = {}
    for line in exposition.split("\n"):
        if not line or line.startswith(("# HELP ", "# TYPE ")):
            continue
        match = _SAMPLE.fullmatch(line)
        assert match, f"not a sample: {line}"
        key = (match["name"], _labels(match["labels"] or ""))
        assert key not in samples, f"twice: {line}"
        samples[key] = float(match["value"])
    return samples


def _value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return _parse(metrics.render()).get((name, frozenset(labels.items())))


def test_every_meter_is_announced_with_its_kind_and_sentence() -> None:
    text = Metrics("api").render()
    for meter in METERS:
        assert f"# HELP {meter.name} {meter.help}\n# TYPE {meter.name} {meter.kind}\n" in text


def test_names_are_unique_and_every_sentence_ends() -> None:
    assert len({meter.name for meter in METERS}) == len(METERS)
    for meter in METERS:
        assert meter.help.endswith("."), meter.name
        assert "\n" not in meter.help


def test_counters_add_up_gauges_replace_and_histograms_collect() -> None:
    metrics = Metrics("api")
    for amount in (1, 2.5):
        metrics.count(AUDIO_HEARD, amount)
        metrics.set(QUEUE_DEPTH, amount, queue="q:stt")
        metrics.observe(REQUEST_LATENCY, 30 * amount, route="/r", method="GET")
    assert _value(metrics, "agent_audio_heard_seconds_total") == 3.5
    assert _value(metrics, "agent_queue_depth", queue="q:stt") == 2.5
    labels = {"service": "api", "route": "/r", "method": "GET"}
    assert _value(metrics, "agent_http_request_latency_ms_count", **labels) == 2
    assert _value(metrics, "agent_http_request_latency_ms_sum", **labels) == 105
    for bound, seen in (("25.0", 0), ("50.0", 1), ("100.0", 2), ("+Inf", 2)):
        name = "agent_http_request_latency_ms_bucket"
        assert _value(metrics, name, le=bound, **labels) == seen, bound


def test_the_service_is_a_label_that_callers_need_not_give() -> None:
    metrics = Metrics("api-worker")
    metrics.count(REQUESTS, route="/r", method="GET", status="200")
    labels = {"service": "api-worker", "route": "/r", "method": "GET", "status": "200"}
    assert _value(metrics, "agent_requests_total", **labels) == 1


@pytest.mark.parametrize(
    "value", ['say "hi"', "C:\\new", "two\nlines", '\\"\n\\n', 'a="b",c="d"', "ё}", "", "\\"]
)
def test_any_label_value_comes_out_as_it_went_in(value: str) -> None:
    metrics = Metrics("api")
    metrics.count(CHUNKS_ACCEPTED, result=value)
    metrics.count(CHUNKS_ACCEPTED, result=value)
    assert _value(metrics, "agent_chunks_accepted_total", result=value) == 2


@pytest.mark.parametrize("value", [True, False])
def test_a_boolean_is_shown_as_a_number(value: bool) -> None:
    metrics = Metrics("api")
    metrics.set(SYSTEM_READINESS, value)
    assert _value(metrics, "agent_system_readiness") == float(value)


@pytest.mark.parametrize("labels", [{}, {"version": "1", "more": "2"}, {"verison": "1"}])
def test_wrong_labels_are_refused_where_they_are_given(labels: dict[str, str]) -> None:
    metrics = Metrics("api")
    with pytest.raises(ValueError, match=r"agent_build_info takes the labels \('version',\)"):
        metrics.set(BUILD, 1, **labels)
    assert "agent_build_info{" not in metrics.render()


def test_start_at_zero_shows_a_counter_before_its_first_event() -> None:
    metrics = Metrics("api")
    metrics.start_at_zero(LEASES_LOST, ({"stage": stage} for stage in ("stt", "enhancer")))
    metrics.count(LEASES_LOST, stage="stt")
    metrics.start_at_zero(LEASES_LOST, ({"stage": "stt"},))
    assert _value(metrics, "agent_leases_lost_total", stage="stt") == 1
    assert _value(metrics, "agent_leases_lost_total", stage="enhancer") == 0


def test_a_histogram_is_shown_empty_before_its_first_value_and_keeps_it_after() -> None:
    metrics = Metrics("api")
    labels = {"route": "/r", "method": "GET"}
    for seen in (0, 1):
        metrics.start_at_zero(REQUEST_LATENCY, [labels])
        for suffix, more in (("count", {}), ("bucket", {"le": "+Inf"}), ("bucket", {"le": "50.0"})):
            name = f"agent_http_request_latency_ms_{suffix}"
            assert _value(metrics, name, service="api", **labels, **more) == seen
        metrics.observe(REQUEST_LATENCY, 30, **labels)


THREADS, COUNTS = 8, 500


async def test_no_count_from_a_thread_is_lost_and_each_is_made_on_the_loop() -> None:
    loop = asyncio.get_running_loop()
    metrics = Metrics("api", defer=loop.call_soon_threadsafe)

    def count() -> None:
        for _ in range(COUNTS):
            metrics.count(LEASES_LOST, stage="stt")

    with ThreadPoolExecutor(THREADS) as threads:
        await asyncio.gather(*(loop.run_in_executor(threads, count) for _ in range(THREADS)))
    await asyncio.sleep(0)
    assert _value(metrics, "agent_leases_lost_total", stage="stt") == THREADS * COUNTS


async def test_a_count_from_a_thread_waits_for_the_loop() -> None:
    """Without the hand-over the count would be there while the loop still runs this test."""
    loop = asyncio.get_running_loop()
    metrics = Metrics("api", defer=loop.call_soon_threadsafe)
    with ThreadPoolExecutor(1) as threads:
        threads.submit(metrics.count, LEASES_LOST, stage="stt").result()
    assert _value(metrics, "agent_leases_lost_total", stage="stt") is None
    await asyncio.sleep(0)
    assert _value(metrics, "agent_leases_lost_total", stage="stt") == 1


def test_a_thread_with_wrong_labels_hears_of_it_itself() -> None:
    metrics = Metrics("api", defer=lambda *_: None)
    with ThreadPoolExecutor(1) as threads:
        outcome = threads.submit(metrics.count, LEASES_LOST, loop="stt")
    with pytest.raises(ValueError, match="agent_leases_lost_total takes"):
        outcome.result()
