"""The figures for people: ours beside the floor, and which targets are met."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from captions.delays import percentile
from captions.report import QUIET_CORES, Target, number
from intake.load import at_percentile

if TYPE_CHECKING:
    from intake.figures import Findings, Flood, Measured
    from intake.floor import FloorResult

_TITLES = (
    "  load                    acked/s   ack 50/99 ms    CPU ms a chunk      api MB"
    "   lag 99 ms   sender\n"
    "                                                   api     pg  worker"
    "                    late 99, CPU"
)


def report(findings: Findings, figures: dict[str, Any]) -> str:
    """Return the whole report."""
    lines = ["", "The floor: 32 callers, a file and one INSERT a chunk, nothing else"]
    lines += [_floor_row("durable", each) for each in findings.floors]
    if findings.careless is not None:
        lines.append(_floor_row("not durable", findings.careless))
    lines.append(f"  one fdatasync of a chunk takes {number(findings.sync_ms)} ms")
    loads = [findings.saturated, findings.paced, findings.streams, findings.listened]
    lines += ["", "Ours (latency from the scheduled moment)", _TITLES]
    lines += [_row(each) for each in loads if each is not None]
    if findings.ramp:
        lines += ["", "Up to the knee and past it", _TITLES]
        lines += [_row(each) for each in sorted(findings.ramp, key=lambda m: len(m.name + m.name))]
    if findings.listened is not None:
        lines += ["", _update_row(findings.listened)]
    if findings.flood is not None:
        lines += ["", *_flood_rows(findings.flood)]
    lines += ["", "Targets, for 2 quiet cores"]
    lines += [target.line() for target in targets(findings, figures)]
    busy = [f"{name} ({n:.2f})" for name, n in findings.others_cores.items() if n > QUIET_CORES]
    if busy:
        lines += ["", f"NOT QUIET, others used the cores during: {', '.join(busy)}"]
    return "\n".join(lines)


def targets(findings: Findings, figures: dict[str, Any]) -> list[Target]:
    """Return every target with its figure."""
    found = [
        Target("chunks a second, part of the floor's", figures["floor_ratio"], 0.7, at_least=True),
        Target("ack p99 at 200 streams, ms", figures["ack_p99_ms"], 150.0),
        Target("memory of the API at 200 streams, MB", figures["rss_mb"], 250.0),
        Target("update p99, 50 meetings, 500 idle listeners, ms", figures["update_p99_ms"], 250.0),
    ]
    if findings.flood is not None:
        first_mb, second_mb = findings.flood.halves_mb()
        found += [
            Target("flood: memory, second half to first", second_mb / first_mb, 1.1)
            if first_mb
            else Target("flood: memory, second half to first", None, 1.1),
            Target("flood: refused otherwise", float(findings.flood.otherwise_refused), 0.0),
            Target("flood: back to normal after, s", findings.flood.recovered_s, 10.0),
        ]
    return found


def _floor_row(name: str, floor: FloorResult) -> str:
    cpu_ms = 1000 * floor.cpu_s / floor.written if floor.written else None
    return (
        f"  {name:20}{floor.per_s:9.0f}/s   {number(floor.p50_ms):>7} / {number(floor.p99_ms)} ms"
        f"   CPU {number(cpu_ms)} ms a chunk"
    )


def _row(each: Measured) -> str:
    outcome = each.outcome
    acks = f"{_whole(outcome.ack_ms(50))} / {_whole(outcome.ack_ms(99))}"
    cpu = "".join(
        f"{number(each.cpu_per_chunk_ms(name)):>7}" for name in ("api", "postgres", "worker")
    )
    late_ms = percentile(outcome.late_ms, 99)
    missing = len(outcome.acks) - outcome.acked
    faults = ", ".join(f"{count} x {name}" for name, count in outcome.refusals.items())
    return (
        f"  {each.name:22}{outcome.acked_per_s:9.0f}{acks:>15}{cpu:>22}{each.rss_mb:10.0f}"
        f"{_whole(each.lag_p99_ms):>12}{_whole(late_ms):>9} ms, {outcome.cpu_s:.1f} s"
        + (f"  {missing} not acked" if missing else "")
        + (f"  [{faults}]" if faults else "")
    )


def _whole(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


def _flood_rows(flood: Flood) -> list[str]:
    first_mb, second_mb = flood.halves_mb()
    outcome = flood.flood.outcome
    sent = outcome.acked + outcome.refusals.total()
    refused = ", ".join(f"{count} x {name}" for name, count in outcome.refusals.items())
    recovered = flood.recovered_s
    again = "not within the time measured" if recovered is None else f"after {recovered:.1f} s"
    happened = (
        f"Past the knee: {len(outcome.acks)} requests due, {sent} answered or cut, "
        f"{outcome.acked} acked; refused: {refused or 'none'}"
    )
    memory = (
        f"  memory of the API {first_mb:.0f} MB in the first half, {second_mb:.0f} MB in the "
        f"second; normal requests below {flood.bound_ms:.0f} ms again {again}"
    )
    return [happened, memory]


def _update_row(listened: Measured) -> str:
    updates = listened.outcome.updates
    return (
        f"From the moment of a chunk to its text: 50 % {number(at_percentile(updates, 50))} ms, "
        f"99 % {number(at_percentile(updates, 99))} ms"
    )
