"""The facade over the meters, which keeps label names and threads right.

aioprometheus loses counts made outside the event loop's thread and does not escape label values;
both are seen to here.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from aioprometheus.collectors import Counter, Gauge, Histogram, Registry
from aioprometheus.formats import text
from aioprometheus.histogram import Histogram as Tally

from interview_agent.metrics.meters import METERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from interview_agent.metrics.meter import Meter

LATENCY_BUCKETS_MS = [5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000]
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


class Metrics:
    """Records values of the declared meters; safe to call from any thread.

    `defer` runs a call on the event loop's thread, such as `loop.call_soon_threadsafe`; without it
    every call must come from the thread that made the object.
    """

    def __init__(self, service: str, defer: Callable[..., object] | None = None) -> None:
        self._service = service
        self._defer = defer
        self._thread = threading.get_ident()
        self._registry = Registry()
        self._collectors: dict[str, Counter | Gauge | Histogram] = {}
        for meter in METERS:
            self._collectors[meter.name] = self._declare(meter)

    def _declare(self, meter: Meter) -> Counter | Gauge | Histogram:
        if meter.kind == "histogram":
            return Histogram(
                meter.name, meter.help, registry=self._registry, buckets=LATENCY_BUCKETS_MS
            )
        kind = Counter if meter.kind == "counter" else Gauge
        return kind(meter.name, meter.help, registry=self._registry)

    def _labels(self, meter: Meter, labels: dict[str, str]) -> dict[str, str]:
        given = {"service": self._service, **labels} if "service" in meter.labels else labels
        if set(given) != set(meter.labels):
            message = f"{meter.name} takes the labels {meter.labels}, not {tuple(given)}"
            raise ValueError(message)
        return {name: _escape(str(given[name])) for name in meter.labels}

    def _record(self, meter: Meter, labels: dict[str, str], value: float) -> None:
        collector = self._collectors[meter.name]
        if isinstance(collector, Histogram):
            collector.observe(labels, value)
        elif isinstance(collector, Counter):
            collector.add(labels, value)
        else:
            # The library would write a boolean as a word, which no scraper can read.
            collector.set(labels, float(value))

    def _here(self, meter: Meter, labels: dict[str, str], value: float) -> None:
        checked = self._labels(meter, labels)
        if self._defer is not None and threading.get_ident() != self._thread:
            self._defer(self._record, meter, checked, value)
        else:
            self._record(meter, checked, value)

    def count(self, meter: Meter, amount: float = 1, **labels: str) -> None:
        """Add to a counter."""
        self._here(meter, labels, amount)

    def observe(self, meter: Meter, value: float, **labels: str) -> None:
        """Add one value to a histogram."""
        self._here(meter, labels, value)

    def set(self, meter: Meter, value: float, **labels: str) -> None:
        """Set a gauge."""
        self._here(meter, labels, value)

    def start_at_zero(self, meter: Meter, label_sets: Iterable[dict[str, str]] = ({},)) -> None:
        """Show a counter or histogram before its first event, so that rates see it begin.

        Call it on the thread that made the object; what was counted already stays.
        """
        collector = self._collectors[meter.name]
        for labels in label_sets:
            checked = self._labels(meter, labels)
            try:
                collector.get_value(checked)
            except KeyError:
                begins = Tally(*LATENCY_BUCKETS_MS) if isinstance(collector, Histogram) else 0
                collector.set_value(checked, begins)

    def render(self) -> str:
        """Return the exposition text of everything recorded so far."""
        rendered: bytes = text.TextFormatter().marshall(self._registry)
        return rendered.decode()
