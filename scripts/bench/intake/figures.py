"""From loads to figures: the knee, the recovery, and the one object that is printed last."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from captions.delays import percentile
from intake.load import at_percentile

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from intake.floor import FloorResult
    from intake.load import Outcome, Sample
    from intake.service import Watch

KNEE_ACK_P99_MS = 500.0
"""Past the knee acknowledgements are later than this, or missing, or sockets are refused."""
FIRST_STREAMS = 50
FEWEST_STREAMS = 10
MOST_STREAMS = 800
_CLOSE_ENOUGH = 1.2

RECOVERED_ACK_MS = 150.0
_STEADY_S = 2.0


@dataclass(frozen=True)
class Measured:
    """A load, what became of it and what it cost."""

    name: str
    outcome: Outcome
    watch: Watch

    def cpu_per_chunk_ms(self, process: str) -> float | None:
        """Return the CPU time of a process for each chunk acknowledged, in ms."""
        acked = self.outcome.acked
        return 1000 * self.watch.cpu_s(process) / acked if acked else None

    @property
    def lag_p99_ms(self) -> float | None:
        """The lag of the event loop of the API at most; see `Watch.health_ms`."""
        return percentile(self.watch.health_ms, 99)

    @property
    def rss_mb(self) -> float:
        """The most resident memory of the API."""
        return self.watch.resident_mb("api")

    @property
    def holds(self) -> bool:
        """Whether this is short of the knee."""
        p99_ms = self.outcome.ack_ms(99)
        return self.outcome.is_whole and p99_ms is not None and p99_ms <= KNEE_ACK_P99_MS


@dataclass(frozen=True)
class Flood:
    """More requests than can be taken, beside normal ones; `bound_ms` is what counts as normal."""

    flood: Measured
    normal: Outcome
    bound_ms: float

    @property
    def told_to_wait(self) -> int:
        """How many were answered 429 or 503, with the time at which to come back."""
        return sum(self.flood.outcome.refusals[status] for status in ("429", "503"))

    @property
    def otherwise_refused(self) -> int:
        """How many were refused in any other way, or cut off."""
        return self.flood.outcome.refusals.total() - self.told_to_wait

    @property
    def recovered_s(self) -> float | None:
        """How long after the flood normal requests were late; see `recovery_s`."""
        return recovery_s(self.normal.acks, self.flood.outcome.ended_s, self.bound_ms)

    def halves_mb(self) -> tuple[float, float]:
        """Return the most resident memory of the API in each half of the flood."""
        outcome, watch = self.flood.outcome, self.flood.watch
        middle_s = (outcome.began_s + outcome.ended_s) / 2
        return (
            watch.resident_mb("api", outcome.began_s, middle_s),
            watch.resident_mb("api", middle_s, outcome.ended_s),
        )


@dataclass
class Findings:
    """Everything that was measured."""

    sync_ms: float | None = None
    """Median of a bare fdatasync of one chunk."""
    floors: list[FloorResult] = field(default_factory=list)
    careless: FloorResult | None = None
    saturated: Measured | None = None
    paced: Measured | None = None
    streams: Measured | None = None
    ramp: list[Measured] = field(default_factory=list)
    streams_knee: int = 0
    listened: Measured | None = None
    flood: Flood | None = None
    others_cores: dict[str, float] = field(default_factory=dict)
    """Cores that processes which are not ours kept busy, by the part of the run."""

    @property
    def floor_per_s(self) -> float:
        """Chunks a second of the floor, before and after the service was measured."""
        took_s = sum(each.took_s for each in self.floors)
        return sum(each.written for each in self.floors) / took_s if took_s else 0.0


async def find_knee(holds: Callable[[int], Awaitable[bool]], may_go_on: Callable[[], bool]) -> int:
    """Return the most streams that were seen to hold; 0 when none did.

    Doubles until something does not hold, then halves the distance until that is small.
    """
    count, good, bad = FIRST_STREAMS, 0, MOST_STREAMS + 1
    while may_go_on():
        if await holds(count):
            good = count
        else:
            bad = count
        if good == MOST_STREAMS or bad <= max(good * _CLOSE_ENOUGH, good + FEWEST_STREAMS):
            break
        if bad > MOST_STREAMS:
            count = min(2 * good, MOST_STREAMS)
        else:
            count = max((good + bad) // 2, FEWEST_STREAMS) // 5 * 5
    return good


def recovery_s(samples: list[Sample], end_s: float, bound_ms: float) -> float | None:
    """Return when after `end_s` the last answer came that was later than `bound_ms`.

    What was due before counts as well, since it came from the same crowd. None when answers are
    late until the end, or never come.
    """
    late = [each for each in samples if each.took_ms is None or each.took_ms > bound_ms]
    if not late:
        return 0.0
    last_due_s = max(each.due_s for each in samples)
    if max(each.due_s for each in late) > last_due_s - _STEADY_S:
        return None
    came_s = (each.due_s + (each.took_ms or 0.0) / 1000 for each in late)
    return max(0.0, max(came_s) - end_s)


def normal_bound_ms(samples: list[Sample], until_s: float) -> float:
    """Return what counts as normal: twice the p99 before the flood, or more on a quiet machine."""
    before = at_percentile([each for each in samples if each.due_s < until_s], 99)
    return max(RECOVERED_ACK_MS, 2 * (before or 0.0))


def headline(findings: Findings) -> dict[str, Any]:
    """Return the object that is printed last; None for what could not be measured."""
    saturated, streams, listened = findings.saturated, findings.streams, findings.listened
    acked_per_s = saturated.outcome.acked_per_s if saturated else None
    floor_per_s = findings.floor_per_s
    return {
        "acked_per_s": _rounded(acked_per_s),
        "floor_ratio": _rounded(acked_per_s / floor_per_s, 3)
        if acked_per_s is not None and floor_per_s
        else None,
        "ack_p50_ms": _rounded(streams.outcome.ack_ms(50) if streams else None),
        "ack_p99_ms": _rounded(streams.outcome.ack_ms(99) if streams else None),
        "streams_knee": findings.streams_knee,
        "rss_mb": _rounded(streams.rss_mb if streams else None),
        "loop_lag_p99_ms": _rounded(streams.lag_p99_ms if streams else None),
        "update_p99_ms": _rounded(
            at_percentile(listened.outcome.updates, 99) if listened else None
        ),
    }


def _rounded(value: float | None, digits: int = 1) -> float | None:
    return None if value is None else round(value, digits)
