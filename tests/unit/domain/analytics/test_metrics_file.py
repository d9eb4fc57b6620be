"""The figures of a file of timed words."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interview_agent.domain.analytics.metrics_file import measure_words_file
from interview_agent.domain.errors import ValidationFailed
from spoken_interview import timed_words, words_document

if TYPE_CHECKING:
    import random

GOLDEN = Path(__file__).parents[3] / "data" / "analytics-golden.json"

ROLES = {"Ann": "interviewer", "Bob": "candidate"}

ENGLISH = (
    ("Ann", 2.0, "Could you tell me about your role?"),
    ("Bob", 6.4, " ".join(["I", *["keep"] * 39, "queues."])),
    ("Ann", 12.0, "mhm"),
    ("Bob", 30.3, " ".join(["And", *["sometimes"] * 19, "databases"])),
    ("Ann", 40.0, "Sorry, do you use Kafka?"),
    ("Bob", 43.0, "Yes."),
    ("Ann", 44.0, "Great."),
    ("Bob", 50.0, "And why do you ask?"),
    ("Ann", 52.0, "We use it too."),
)


def golden() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(GOLDEN.read_text(encoding="utf-8"))
    return document


def test_the_golden_example_is_met_to_the_last_digit() -> None:
    document = golden()
    assert measure_words_file(document) == document["expected"]


def test_an_english_interview_gives_the_figures_worked_out_by_hand() -> None:
    """n words last 0.5 n - 0.1 s. Ann 3.4 + 0.4 + 2.4 + 0.4 + 1.9 = 8.5 s, Bob 20.4 + 10.4 + 0.4
    + 2.4 = 33.6 s, together 42.1 s. Overlap: "mhm" 0.4, Kafka 40.0-40.7 0.7, the end 52.0-52.4
    0.4 = 1.5 s; union 40.6 s; silence 1 - 40.6 / 120. Active from 2.0 to 53.9 s: 6 switches in
    51.9 s. Bob's long turn is cut by the pause 26.8-30.3; the other long pause is 44.4-50.0. "Yes."
    and "Great." are no back-channels: one replies, after the other nobody speaks for 5.6 s. Bob
    waited 1.0, 0.6 and 5.6 s, Ann 0.6 s; the last 0.4 s of overlap are no interruption. Bob says
    41 + 21 + 1 + 5 = 68 words in 0.56 min.
    """
    assert measure_words_file(words_document(*ENGLISH, roles=ROLES)) == {
        "words_with_adjusted_timing": 0,
        "speech_s": {"Ann": 8.5, "Bob": 33.6},
        "talk_share_of_speech": {"Ann": 0.2019, "Bob": 0.7981},
        "talk_share_of_duration": {"Ann": 0.0708, "Bob": 0.28},
        "silence_ratio": 0.6617,
        "overlap_s": 1.5,
        "turns": {"Ann": 4, "Bob": 3},
        "speaker_switches": 6,
        "switches_per_min": 6.94,
        "longest_monologue": {
            "Ann": {"s": 3.4, "from": 2.0, "to": 5.4},
            "Bob": {"s": 20.4, "from": 6.4, "to": 26.8},
        },
        "response_latency_s": {
            "Ann": {"median": 0.6, "n": 1, "status": "low_sample"},
            "Bob": {"median": 1.0, "n": 3, "status": "low_sample"},
        },
        "interruptions": [{"by": "Ann", "at": 40.0, "overlap": 0.7}],
        "backchannels": 1,
        "long_pauses": 2,
        "questions": {"Ann": 2, "Bob": 1},
        "wpm": {"Ann": None, "Bob": 121.4},
    }


def test_one_shared_channel_leaves_overlap_and_interruptions_unmeasured() -> None:
    shown = measure_words_file(words_document(*ENGLISH, channels_separate=False))
    assert (shown["overlap_s"], shown["interruptions"]) == (None, None)
    assert shown["turns"] == {"Ann": 4, "Bob": 3}


def test_words_of_nobody_known_leave_figures_per_speaker_unmeasured() -> None:
    shown = measure_words_file(words_document((None, 1.0, "Кто здесь говорит?")))
    assert shown["silence_ratio"] == round(1 - 1.4 / 120, 4)
    assert {key for key, value in shown.items() if value is None} == {
        "speech_s",
        "talk_share_of_speech",
        "talk_share_of_duration",
        "overlap_s",
        "turns",
        "speaker_switches",
        "switches_per_min",
        "longest_monologue",
        "response_latency_s",
        "interruptions",
        "backchannels",
        "questions",
        "wpm",
    }


def test_without_punctuation_questions_are_unmeasured() -> None:
    assert measure_words_file(words_document(("A", 1.0, "что вы делали")))["questions"] is None


def test_a_file_without_words_is_measured_as_empty() -> None:
    shown = measure_words_file({"duration_s": 10, "words": []})
    assert set(shown) == set(golden()["expected"])
    assert shown["words_with_adjusted_timing"] == 0
    assert shown["silence_ratio"] is None


@settings(max_examples=40, deadline=None, derandomize=True)
@given(timed_words(), st.randoms(use_true_random=False))
def test_the_order_of_the_words_changes_nothing(
    words: list[dict[str, Any]], chance: random.Random
) -> None:
    document = {"duration_s": 70.0, "channels_separate": True, "words": words}
    mixed = chance.sample(words, len(words))
    assert measure_words_file({**document, "words": mixed}) == measure_words_file(document)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(timed_words())
def test_shares_add_up_and_overlap_is_the_sum_less_the_union(words: list[dict[str, Any]]) -> None:
    shown = measure_words_file({"duration_s": 70.0, "channels_separate": True, "words": words})
    total = sum(shown["speech_s"].values())
    if not total:
        assert shown["silence_ratio"] == 1.0
        return
    assert sum(shown["talk_share_of_speech"].values()) == pytest.approx(1.0, abs=1e-3)
    union = 70.0 * (1 - shown["silence_ratio"])
    assert shown["overlap_s"] == pytest.approx(total - union, abs=0.01)
    assert sum(shown["turns"].values()) <= shown["speaker_switches"] + 1


@pytest.mark.parametrize(
    ("document", "place"),
    [
        (None, "the document"),
        ([], "the document"),
        ({"words": []}, "duration_s"),
        ({"duration_s": True, "words": []}, "duration_s"),
        ({"duration_s": math.nan, "words": []}, "duration_s"),
        ({"duration_s": 0, "words": []}, "duration_s"),
        ({"duration_s": 1, "words": {}}, "words"),
        ({"duration_s": 1, "words": [1]}, "words.0"),
        ({"duration_s": 1, "words": [], "roles": {"A": "boss"}}, "roles.A"),
        ({"duration_s": 1, "words": [], "roles": {"A": []}}, "roles.A"),
        ({"duration_s": 1, "words": [], "roles": []}, "roles"),
        ({"duration_s": 1, "words": [], "channels_separate": "yes"}, "channels_separate"),
        (
            {"duration_s": 1, "words": [{"speaker": "A", "start": 0, "end": 10**400, "text": "a"}]},
            "words.0.end",
        ),
        (
            {"duration_s": 1, "words": [{"speaker": "A", "start": "0", "end": 1, "text": "a"}]},
            "words.0.start",
        ),
        (
            {"duration_s": 1, "words": [{"speaker": 5, "start": 0, "end": 1, "text": "a"}]},
            "words.0.speaker",
        ),
        (
            {"duration_s": 1, "words": [{"speaker": "A", "start": 0, "end": 1, "text": " "}]},
            "words.0.text",
        ),
    ],
)
def test_a_malformed_file_is_refused_by_the_name_of_its_fault(document: Any, place: str) -> None:
    with pytest.raises(ValidationFailed) as caught:
        measure_words_file(document)
    assert f": {place} " in caught.value.message
    assert caught.value.details["errors"][0]["msg"]


def test_at_most_twenty_faults_are_listed() -> None:
    with pytest.raises(ValidationFailed) as caught:
        measure_words_file({"duration_s": 1, "words": [None] * 50})
    assert len(caught.value.details["errors"]) == 20
