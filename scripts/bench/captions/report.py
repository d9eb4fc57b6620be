"""The figures for people: ours beside the baseline, and which targets are met."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from captions.summary import by_language

if TYPE_CHECKING:
    from captions.runs import ManyStreams
    from captions.summary import Findings, LanguageFigures, Pooled

WER_DELTA_POINTS = {"en": 1.5, "ru": 2.0}
OTHER_WER_DELTA_POINTS = 2.0
STREAMS = 8
QUIET_CORES = 0.15
"""More than this used by others makes the figures of a part doubtful."""


@dataclass(frozen=True, slots=True)
class Target:
    """A figure that has to be at most, or at least, so much."""

    name: str
    value: float | None
    bound: float
    at_least: bool = False

    @property
    def is_met(self) -> bool:
        """Whether the figure is known and within its bound."""
        if self.value is None:
            return False
        return self.value >= self.bound if self.at_least else self.value <= self.bound

    def line(self) -> str:
        """Return the target as a line of the report."""
        sign = ">=" if self.at_least else "<="
        verdict = "pass" if self.is_met else "FAIL"
        return f"  {verdict}  {self.name:52} {number(self.value):>8} {sign} {self.bound:g}"


def targets(headline: dict[str, Any], languages: list[LanguageFigures]) -> list[Target]:
    """Return every target with its figure."""
    found = [
        Target(
            "CPU of the live phase, part of the baseline's", headline["cpu_ratio_to_baseline"], 0.25
        ),
        Target("words first shown, median, s, one stream", headline["shown_median_s"], 1.2),
        Target("words committed, median, s, one stream", headline["committed_median_s"], 2.5),
        Target("streams sustained", headline["streams_sustained"], STREAMS, at_least=True),
        Target("memory for each further stream, MB", headline["rss_per_stream_mb"], 15.0),
    ]
    for each in languages:
        allowed = WER_DELTA_POINTS.get(each.language, OTHER_WER_DELTA_POINTS)
        live = f"WER of live text above batch, points, {each.language}"
        final = f"WER after finish above batch, points, {each.language}"
        found.append(Target(live, each.wer_delta_points, allowed))
        found.append(Target(final, each.wer_final_delta_points, 0.5))
    return found


def report(findings: Findings, headline: dict[str, Any]) -> str:
    """Return the whole report."""
    languages = by_language(findings)
    lines = ["", "One stream (seconds from the end of a word in the audio)", _TITLES]
    for each in languages:
        batch_cpu_s = sum(
            findings.batches[one.recording.name].cpu_s
            for one in findings.ones
            if (one.recording.language or "auto") == each.language
        )
        lines += [
            _row(each.language, "ours", each.ours, each.cpu_per_audio_s, each.wer_committed),
            _row("", "baseline", each.baseline, each.baseline_cpu_per_audio_s, each.wer_baseline),
            _plain_row("after finish", each.finish_cpu_per_audio_s, each.wer_final),
            _plain_row("batch", batch_cpu_s / each.audio_s, each.wer_batch),
            _ratio_row(each),
        ]
    single = findings.single_thread_baseline
    if single is not None:
        same = next(one for one in findings.ones if one.recording.name == single.recording.name)
        ratio = same.cpu_per_audio_s / single.cpu_per_audio_s
        lines.append(
            f"  {single.recording.name}: baseline on one thread CPU {single.cpu_per_audio_s:.3f}, "
            f"ours / that {ratio:.3f}"
        )
    if findings.many:
        lines += ["", "Many streams, conversations", _MANY_TITLES]
        lines += [_many_row(run) for run in findings.many]
    lines += ["", _memory_row(headline), "", "Targets"]
    lines += [target.line() for target in targets(headline, languages)]
    busy = [f"{name} ({n:.2f})" for name, n in findings.others_cores.items() if n > QUIET_CORES]
    if busy:
        lines += ["", f"NOT QUIET, others used the cores during: {', '.join(busy)}"]
    return "\n".join(lines)


_TITLES = (
    "  language          first  shown 50/95 %   committed 50/95 %   matched   CPU s/s    WER %"
)
_MANY_TITLES = (
    "  streams   shown 50/95 %   committed 50/95 %   growth   matched   CPU s/s    MB   verdict"
)


def number(value: float | None) -> str:
    """Return a figure, or a dash where there is none."""
    return "-" if value is None else f"{value:.2f}"


def _row(language: str, name: str, delays: Pooled, cpu: float, wer: float) -> str:
    shown = f"{number(delays.shown_median_s)} / {number(delays.shown_p95_s)}"
    committed = f"{number(delays.committed_median_s)} / {number(delays.committed_p95_s)}"
    matched = f"{delays.matched}/{delays.words}"
    return (
        f"  {language:4}{name:13}{number(delays.first_shown_s):>6}{shown:>15}{committed:>20}"
        f"{matched:>10}{cpu:10.3f}{wer:9.2f}"
    )


def _plain_row(name: str, cpu: float, wer: float) -> str:
    return f"      {name:13}{'':51}{cpu:10.3f}{wer:9.2f}"


def _ratio_row(each: LanguageFigures) -> str:
    both = each.cpu_per_audio_s + each.finish_cpu_per_audio_s
    return (
        f"      ours / baseline: CPU {each.cpu_ratio_to_baseline:.3f}, "
        f"with the finish {both / each.baseline_cpu_per_audio_s:.3f}; "
        f"the baseline heard every {each.baseline_period_s:.1f} s"
    )


def _memory_row(headline: dict[str, Any]) -> str:
    return (
        f"Memory, pages that processes share counted once: one stream "
        f"{headline['rss_peak_one_stream_mb']:.0f} MB, peak with finishes and the first number of "
        f"streams {headline['rss_peak_mb']:.0f} MB"
    )


def _many_row(run: ManyStreams) -> str:
    shown = f"{number(run.shown_s(50))} / {number(run.shown_s(95))}"
    committed = f"{number(run.committed_s(50))} / {number(run.committed_s(95))}"
    matched = f"{100 * run.share:.0f}/{100 * run.expected_share:.0f} %"
    return (
        f"  {run.count:7d}{shown:>16}{committed:>20}{run.growth_s:9.2f}{matched:>10}"
        f"{run.cpu_per_audio_s:10.3f}{run.peak_mb:6.0f}   {run.fault or 'sustained'}"
    )
