"""What a load smoke measured, what it must keep to, and the verdicts that come of both."""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NO_SERVICE_KEY = "(no service key)"
REFUSALS = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


class Limits(NamedTuple):
    """What a run must keep to; all but the time of an ack holds for HTTP and WebSocket alike."""

    failure_rate: float = 0.10
    ingest_p95_ms: float = 700.0
    send_p95_ms: float = 120.0
    done_p95_s: float = 60.0
    meetings_per_min: float = 4.0
    given_up: int = 0


BY_HAND = Limits()
IN_PIPELINES = Limits(
    failure_rate=0.15,
    ingest_p95_ms=600.0,
    send_p95_ms=200.0,
    done_p95_s=20.0,
    meetings_per_min=6.0,
)


@dataclass
class Figures:
    """What meetings took that were sent one way: to each ack, and from the first audio to `done`.

    `calls` counts what was sent: requests, or messages of a socket.
    """

    meetings: int
    calls: int = 0
    faults: list[str] = field(default_factory=list)
    ack_ms: list[float] = field(default_factory=list)
    done_s: list[float] = field(default_factory=list)
    took_s: float = 0.0

    @property
    def failure_rate(self) -> float:
        """Share of the meetings that did not come to `done`."""
        return 1 - len(self.done_s) / self.meetings


@dataclass
class Results:
    """What a whole run came to.

    `strangers` has the status with which each contour answered the identity of the other one. None
    stands for what could not be asked without a service key.
    """

    http: Figures
    socket: Figures
    given_up: int | None
    strangers: Mapping[str, int | None]


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


def judge(results: Results, limits: Limits) -> list[Verdict]:
    """Compare results with limits."""
    lost = results.given_up
    return [
        *_of_meetings("HTTP", "chunk", results.http, limits, limits.ingest_p95_ms),
        *_of_meetings("WebSocket", "frame", results.socket, limits, limits.send_p95_ms),
        Verdict(
            "work given up on",
            f"not measured {NO_SERVICE_KEY}" if lost is None else str(lost),
            f"at most {limits.given_up}",
            None if lost is None else lost <= limits.given_up,
        ),
        *(
            Verdict(
                name,
                f"not checked {NO_SERVICE_KEY}" if status is None else str(status),
                " or ".join(map(str, map(int, REFUSALS))),
                None if status is None else status in REFUSALS,
            )
            for name, status in results.strangers.items()
        ),
    ]


def _of_meetings(
    way: str, piece: str, figures: Figures, limits: Limits, ack_p95_ms: float
) -> list[Verdict]:
    rate, ack_ms, done_s = figures.failure_rate, p95(figures.ack_ms), p95(figures.done_s)
    per_min = 60 * len(figures.done_s) / figures.took_s if figures.took_s else 0.0
    return [
        Verdict(
            f"{way}: failed meetings",
            f"{rate:.0%}",
            f"at most {limits.failure_rate:.0%}",
            rate <= limits.failure_rate,
        ),
        Verdict(
            f"{way}: ack of a {piece}, p95",
            f"{ack_ms:.0f} ms",
            f"at most {ack_p95_ms:.0f} ms",
            ack_ms <= ack_p95_ms,
        ),
        Verdict(
            f"{way}: first {piece} to report, p95",
            f"{done_s:.1f} s",
            f"at most {limits.done_p95_s:.0f} s",
            done_s <= limits.done_p95_s,
        ),
        Verdict(
            f"{way}: meetings a minute",
            f"{per_min:.1f}",
            f"at least {limits.meetings_per_min:.0f}",
            per_min >= limits.meetings_per_min,
        ),
    ]
