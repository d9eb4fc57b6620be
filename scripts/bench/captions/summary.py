"""From runs to figures: per language, and the one object that is printed last."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from captions.delays import percentile
from captions.words import edits, texts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from captions.baseline import BaselineStream, Batch
    from captions.delays import Delays
    from captions.recordings import Recording
    from captions.runs import ManyStreams, OneStream
    from captions.words import TimedWord


@dataclass
class Findings:
    """Everything that was measured."""

    batches: dict[str, Batch] = field(default_factory=dict)
    """By the name of the recording."""
    baselines: list[BaselineStream] = field(default_factory=list)
    single_thread_baseline: BaselineStream | None = None
    ones: list[OneStream] = field(default_factory=list)
    many: list[ManyStreams] = field(default_factory=list)
    streams_sustained: int = 0
    others_cores: dict[str, float] = field(default_factory=dict)
    """Cores that processes which are not ours kept busy, by the part of the run."""


@dataclass(frozen=True)
class Pooled:
    """Delays of one language, in seconds; None where nothing was shown or committed."""

    words: int
    matched: int
    first_shown_s: float | None
    shown_median_s: float | None
    shown_p95_s: float | None
    committed_median_s: float | None
    committed_p95_s: float | None


@dataclass(frozen=True)
class LanguageFigures:
    """One language: ours, the baseline and the batch pass on the same audio."""

    language: str
    audio_s: float
    ours: Pooled
    baseline: Pooled
    cpu_per_audio_s: float
    finish_cpu_per_audio_s: float
    baseline_cpu_per_audio_s: float
    baseline_period_s: float
    wer_committed: float
    wer_final: float
    wer_batch: float
    wer_baseline: float

    @property
    def cpu_ratio_to_baseline(self) -> float:
        """Our CPU time of the live phase for that of the baseline."""
        return self.cpu_per_audio_s / self.baseline_cpu_per_audio_s

    @property
    def wer_delta_points(self) -> float:
        """Live committed text against the batch pass, in points."""
        return self.wer_committed - self.wer_batch

    @property
    def wer_final_delta_points(self) -> float:
        """The transcript after finish against the batch pass, in points."""
        return self.wer_final - self.wer_batch


def pooled(delays: Iterable[Delays]) -> Pooled:
    """Put the delays of several streams together."""
    every = list(delays)
    shown_s = [s for each in every for s in each.shown_s.values()]
    committed_s = [s for each in every for s in each.committed_s.values()]
    firsts_s = [each.first_shown_s for each in every if each.first_shown_s is not None]
    return Pooled(
        words=sum(each.words for each in every),
        matched=len(committed_s),
        first_shown_s=max(firsts_s, default=None),
        shown_median_s=percentile(shown_s, 50),
        shown_p95_s=percentile(shown_s, 95),
        committed_median_s=percentile(committed_s, 50),
        committed_p95_s=percentile(committed_s, 95),
    )


def by_language(findings: Findings) -> list[LanguageFigures]:
    """Return the figures of every language that one stream spoke."""
    languages = dict.fromkeys(one.recording.language or "auto" for one in findings.ones)
    return [_figures(language, findings) for language in languages]


def _figures(language: str, findings: Findings) -> LanguageFigures:
    ones = [one for one in findings.ones if (one.recording.language or "auto") == language]
    names = {one.recording.name for one in ones}
    baselines = [each for each in findings.baselines if each.recording.name in names]
    audio_s = sum(one.recording.seconds for one in ones)
    batches = [(one.recording, findings.batches[one.recording.name].words) for one in ones]
    return LanguageFigures(
        language=language,
        audio_s=audio_s,
        ours=pooled(one.delays for one in ones),
        baseline=pooled(each.delays for each in baselines),
        cpu_per_audio_s=sum(one.live_cpu_s for one in ones) / audio_s,
        finish_cpu_per_audio_s=sum(one.finish_cpu_s for one in ones) / audio_s,
        baseline_cpu_per_audio_s=sum(each.cpu_s for each in baselines) / audio_s,
        baseline_period_s=audio_s / sum(each.hearings for each in baselines),
        wer_committed=_wer((one.recording, one.committed) for one in ones),
        wer_final=_wer((one.recording, one.final) for one in ones),
        wer_batch=_wer(batches),
        wer_baseline=_wer((each.recording, each.committed) for each in baselines),
    )


def _wer(pairs: Iterable[tuple[Recording, Iterable[TimedWord]]]) -> float:
    wrong = said = 0
    for recording, heard in pairs:
        wrong += edits(recording.text, texts(heard))
        said += len(recording.text)
    return 100.0 * wrong / said


def headline(findings: Findings) -> dict[str, Any]:
    """Return the object that is printed last; of several languages the worst counts."""
    languages = by_language(findings)
    worst = _worst_of(languages)
    first = findings.many[0] if findings.many else None
    # Like the runs with many streams, the first one comes to a service that has finished nothing.
    one_peak_mb = findings.ones[0].live_peak_mb
    found: dict[str, Any] = {
        "cpu_per_audio_s": worst(lambda each: each.cpu_per_audio_s),
        "cpu_ratio_to_baseline": worst(lambda each: each.cpu_ratio_to_baseline),
        "shown_median_s": worst(lambda each: each.ours.shown_median_s),
        "shown_p95_s": worst(lambda each: each.ours.shown_p95_s),
        "committed_median_s": worst(lambda each: each.ours.committed_median_s),
        "committed_p95_s": worst(lambda each: each.ours.committed_p95_s),
        "streams_sustained": findings.streams_sustained,
        "wer_committed": worst(lambda each: each.wer_committed),
        "wer_delta_points": worst(lambda each: each.wer_delta_points),
        "wer_final_delta_points": worst(lambda each: each.wer_final_delta_points),
        "rss_peak_mb": max(
            [one.peak_mb for one in findings.ones] + [first.peak_mb if first else 0.0]
        ),
        "rss_per_stream_mb": (first.peak_mb - one_peak_mb) / (first.count - 1)
        if first and first.count > 1 and not first.refused
        else None,
        "rss_peak_one_stream_mb": one_peak_mb,
        "cpu_finish_per_audio_s": worst(lambda each: each.finish_cpu_per_audio_s),
        "baseline_cpu_per_audio_s": worst(lambda each: each.baseline_cpu_per_audio_s),
        "others_cores_max": max(findings.others_cores.values(), default=None),
        "many": [_many(run) for run in findings.many],
        "languages": {each.language: _language(each) for each in languages},
    }
    single = findings.single_thread_baseline
    if single is not None:
        found["baseline_one_thread_cpu_per_audio_s"] = single.cpu_per_audio_s
    rounded: dict[str, Any] = _rounded(found)
    return rounded


def _worst_of(
    languages: list[LanguageFigures],
) -> Callable[[Callable[[LanguageFigures], float | None]], float | None]:
    """Return a function that finds the largest value; one that is missing is worse than any."""

    def worst(value: Callable[[LanguageFigures], float | None]) -> float | None:
        found = [value(each) for each in languages]
        known = [each for each in found if each is not None]
        return max(known) if known and len(known) == len(found) else None

    return worst


def _many(run: ManyStreams) -> dict[str, Any]:
    return {
        "streams": run.count,
        "fault": run.fault,
        "shown_median_s": run.shown_s(50),
        "shown_p95_s": run.shown_s(95),
        "committed_median_s": run.committed_s(50),
        "committed_p95_s": run.committed_s(95),
        "growth_s": run.growth_s,
        "matched_share": run.share,
        "cpu_per_audio_s": run.cpu_per_audio_s,
        "rss_peak_mb": run.peak_mb,
        "rss_sum_peak_mb": run.resident_peak_mb,
    }


def _language(figures: LanguageFigures) -> dict[str, Any]:
    return {
        "cpu_per_audio_s": figures.cpu_per_audio_s,
        "cpu_ratio_to_baseline": figures.cpu_ratio_to_baseline,
        "shown_median_s": figures.ours.shown_median_s,
        "shown_p95_s": figures.ours.shown_p95_s,
        "committed_median_s": figures.ours.committed_median_s,
        "committed_p95_s": figures.ours.committed_p95_s,
        "wer_committed": figures.wer_committed,
        "wer_delta_points": figures.wer_delta_points,
        "wer_final_delta_points": figures.wer_final_delta_points,
        "wer_batch": figures.wer_batch,
        "baseline_cpu_per_audio_s": figures.baseline_cpu_per_audio_s,
        "baseline_period_s": figures.baseline_period_s,
        "baseline_committed_median_s": figures.baseline.committed_median_s,
        "baseline_committed_p95_s": figures.baseline.committed_p95_s,
        "baseline_wer": figures.wer_baseline,
    }


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_rounded(each) for each in value]
    return round(value, 3) if isinstance(value, float) else value
