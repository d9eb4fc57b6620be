"""What a load smoke measured, what it must keep to, and the verdicts that come of both."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence


class Limits(NamedTuple):
    """What a run must keep to."""

    failure_rate: float = 0.10
    ingest_p95_ms: float = 700.0
    done_p95_s: float = 60.0
    meetings_per_min: float = 4.0
    given_up: int = 0


BY_HAND = Limits()
IN_PIPELINES = Limits(failure_rate=0.15, ingest_p95_ms=600.0, done_p95_s=20.0, meetings_per_min=6.0)


@dataclass
class Figures:
    """What was measured: calls, times to the ack of a chunk, and from the first chunk to `done`."""

    meetings: int
    calls: int = 0
    faults: list[str] = field(default_factory=list)
    ingest_ms: list[float] = field(default_factory=list)
    done_s: list[float] = field(default_factory=list)
    took_s: float = 0.0
    given_up: int | None = None

    @property
    def failure_rate(self) -> float:
        """Share of the meetings that did not come to `done`."""
        return 1 - len(self.done_s) / self.meetings


class Verdict(NamedTuple):
    """One line of the result; `kept` is None where nothing could be measured."""

    name: str
    value: str
    limit: str
    kept: bool | None


def p95(values: Sequence[float]) -> float:
    """Return the nearest-rank 95th percentile; infinite where there is no value."""
    ordered = sorted(values)
    return ordered[max(0, -(-95 * len(ordered) // 100) - 1)] if ordered else float("inf")


def judge(figures: Figures, limits: Limits) -> list[Verdict]:
    """Compare figures with limits."""
    rate, ingest_ms, done_s = figures.failure_rate, p95(figures.ingest_ms), p95(figures.done_s)
    per_min = 60 * len(figures.done_s) / figures.took_s if figures.took_s else 0.0
    lost = figures.given_up
    return [
        Verdict(
            "failed meetings",
            f"{rate:.0%}",
            f"at most {limits.failure_rate:.0%}",
            rate <= limits.failure_rate,
        ),
        Verdict(
            "ack of a chunk, p95",
            f"{ingest_ms:.0f} ms",
            f"at most {limits.ingest_p95_ms:.0f} ms",
            ingest_ms <= limits.ingest_p95_ms,
        ),
        Verdict(
            "first chunk to report, p95",
            f"{done_s:.1f} s",
            f"at most {limits.done_p95_s:.0f} s",
            done_s <= limits.done_p95_s,
        ),
        Verdict(
            "meetings a minute",
            f"{per_min:.1f}",
            f"at least {limits.meetings_per_min:.0f}",
            per_min >= limits.meetings_per_min,
        ),
        Verdict(
            "work given up on",
            "not measured (no service key)" if lost is None else str(lost),
            f"at most {limits.given_up}",
            None if lost is None else lost <= limits.given_up,
        ),
    ]
