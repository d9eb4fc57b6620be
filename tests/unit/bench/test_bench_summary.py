"""The object that is printed last, and the targets."""

from __future__ import annotations

import json

import numpy as np
import pytest

from captions.baseline import BaselineStream, Batch
from captions.delays import Delays
from captions.recordings import SAMPLE_RATE, Recording
from captions.report import Target, report, targets
from captions.runs import ManyStreams, OneStream
from captions.summary import Findings, by_language, headline
from captions.words import TimedWord

KEYS = [
    "cpu_per_audio_s",
    "cpu_ratio_to_baseline",
    "shown_median_s",
    "shown_p95_s",
    "committed_median_s",
    "committed_p95_s",
    "streams_sustained",
    "wer_committed",
    "wer_delta_points",
    "wer_final_delta_points",
    "rss_peak_mb",
    "rss_per_stream_mb",
]


def words(text: str) -> tuple[TimedWord, ...]:
    return tuple(TimedWord(word, float(at), at + 1.0) for at, word in enumerate(text.split()))


def add(findings: Findings, language: str, *, cpu_s: float, live: str, final: str) -> None:
    """Add ten seconds in a language in which "a b c d" was said and batch heard "a b c x"."""
    said = words("a b c d")
    samples = np.zeros(10 * SAMPLE_RATE, np.int16)
    recording = Recording(language, language, samples, said, ("a", "b", "c", "d"))
    delays = Delays(4, {0: 0.5, 1: 1.0}, {0: 1.0, 1: 2.0})
    findings.batches[language] = Batch(words("a b c x"), language, 1.0)
    findings.baselines.append(
        BaselineStream(recording, 2, delays, list(said), hearings=8, cpu_s=10.0)
    )
    findings.ones.append(
        OneStream(
            recording=recording,
            delays=delays,
            committed=list(words(live)),
            final=list(words(final)),
            live_cpu_s=cpu_s,
            finish_cpu_s=1.0,
            finish_took_s=1.0,
            live_peak_mb=500.0,
            peak_mb=550.0,
            most_late_s=0.0,
            errors=[],
        )
    )


@pytest.fixture
def findings() -> Findings:
    found = Findings(streams_sustained=12)
    add(found, "en", cpu_s=2.0, live="a b c d", final="a b c d")
    add(found, "ru", cpu_s=3.0, live="a x x x", final="a b x x")
    delays = Delays(4, {0: 0.5}, {0: 1.0})
    found.many = [
        ManyStreams(8, delays=[delays], peak_mb=570.0),
        ManyStreams(12, delays=[delays], peak_mb=900.0),
    ]
    return found


def test_the_keys_come_first_and_in_order_and_are_plain_json(findings: Findings) -> None:
    assert list(json.loads(json.dumps(headline(findings))))[: len(KEYS)] == KEYS


def test_of_two_languages_the_worse_counts(findings: Findings) -> None:
    found = headline(findings)
    assert found["cpu_per_audio_s"] == 0.3
    assert found["cpu_ratio_to_baseline"] == 0.3
    assert found["wer_committed"] == 75.0
    assert found["wer_delta_points"] == 50.0
    assert found["wer_final_delta_points"] == 25.0
    assert found["languages"]["en"]["wer_delta_points"] == -25.0
    assert found["languages"]["en"]["cpu_ratio_to_baseline"] == 0.2


def test_memory_is_that_of_the_first_number_of_streams(findings: Findings) -> None:
    found = headline(findings)
    assert found["rss_peak_mb"] == 570.0
    assert found["rss_per_stream_mb"] == 10.0


def test_a_language_without_a_commit_has_no_delay_and_meets_no_target(findings: Findings) -> None:
    findings.ones[1].delays = Delays(4)
    found = headline(findings)
    assert found["committed_median_s"] is None
    missed = [each.name for each in targets(found, by_language(findings)) if each.value is None]
    assert missed == [
        "words first shown, median, s, one stream",
        "words committed, median, s, one stream",
    ]


def test_a_part_during_which_others_used_the_cores_is_named(findings: Findings) -> None:
    findings.others_cores = {"batch": 0.1, "8 streams": 0.9}
    text = report(findings, headline(findings))
    assert text.splitlines()[-1].endswith("during: 8 streams (0.90)")
    assert headline(findings)["others_cores_max"] == 0.9


def test_the_report_says_how_often_the_baseline_heard(findings: Findings) -> None:
    assert "the baseline heard every 1.2 s" in report(findings, headline(findings))


def test_a_target_includes_its_bound() -> None:
    assert Target("t", 8.0, 8, at_least=True).is_met
    assert not Target("t", 7.0, 8, at_least=True).is_met
    assert Target("t", 0.25, 0.25).is_met
    assert not Target("t", 0.26, 0.25).is_met
    assert not Target("t", None, 0.25).is_met


def test_the_report_names_every_language_and_verdict(findings: Findings) -> None:
    text = report(findings, headline(findings))
    assert "en  ours" in text
    assert "ru  ours" in text
    assert text.count("FAIL") == 3
    assert text.count("pass") == 6
