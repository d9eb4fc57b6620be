"""Stretches, back-channels, turns, interruptions, and the repair of word times."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings

from interview_agent.domain.analytics.conversation import Conversation, read_conversation
from interview_agent.domain.analytics.reading import InterviewSession, read_session
from interview_agent.domain.analytics.word_times import words_of
from interview_agent.domain.transcript import Segment, Word
from spoken_interview import interview, segment, sessions


def conversation_of(*lines: tuple[str | None, float, str]) -> Conversation:
    return read_session(interview(*lines)).conversation


def timed(*times: tuple[float, float], speaker: str = "A") -> Segment:
    words = tuple(Word(f"w{at}", start, end) for at, (start, end) in enumerate(times))
    return Segment("m", f"s{speaker}", speaker, 0.0, 9.0, "", "w", words, speaker)


@pytest.mark.parametrize(
    ("times", "adjusted", "repaired"),
    [
        ([(0.0, 1.0), (1.0, 2.0)], 0, [(0, 1000), (1000, 2000)]),
        ([(-0.5, 1.0)], 1, [(0, 1000)]),
        ([(2.0, 2.0)], 1, [(2000, 2000)]),
        ([(2.0, 1.0)], 1, [(2000, 2000)]),
        ([(0.0, 1.0), (0.6, 2.0)], 1, [(0, 1000), (1000, 2000)]),
        ([(0.0, 2.0), (0.5, 1.0)], 1, [(0, 2000), (1000, 1000)]),
    ],
)
def test_broken_times_are_counted_and_repair_adds_no_speech(
    times: list[tuple[float, float]], adjusted: int, repaired: list[tuple[int, int]]
) -> None:
    found = words_of([timed(*times)])
    assert found.adjusted == adjusted
    assert sorted((word.start_ms, word.end_ms) for word in found.words) == sorted(repaired)


def test_speech_of_different_speakers_may_overlap_without_repair() -> None:
    found = words_of([timed((0.0, 1.0)), timed((0.5, 1.5), speaker="B")])
    assert found.adjusted == 0


def test_a_segment_without_words_has_its_text_spread_over_its_time() -> None:
    bare = Segment("m", "s", "main", 2.0, 4.0, "", "один два три четыре", (), "A")
    found = words_of([bare])
    assert found.estimated == 4
    assert [(word.text, word.start_ms, word.end_ms) for word in found.words] == [
        ("один", 2000, 2500),
        ("два", 2500, 3000),
        ("три", 3000, 3500),
        ("четыре", 3500, 4000),
    ]


def test_times_that_are_no_numbers_are_estimated() -> None:
    broken = timed((float("nan"), 1.0))
    assert words_of([broken]).estimated == 1


@pytest.mark.parametrize(("gap", "stretches"), [(0.30, 1), (0.31, 2)])
def test_words_join_over_gaps_of_up_to_300_ms(gap: float, stretches: int) -> None:
    words = words_of([timed((0.0, 1.0), (1.0 + gap, 2.0))]).words
    assert len(read_conversation(words, 3000).stretches) == stretches


@pytest.mark.parametrize(
    ("heard", "backchannels"),
    [
        ("угу", 1),
        ("yeah right", 1),
        ("I see", 1),
        ("угу да так ну", 0),
        ("подождите", 0),
    ],
)
def test_only_short_speech_of_listeners_words_is_a_back_channel(
    heard: str, backchannels: int
) -> None:
    found = conversation_of(
        ("A", 0.0, "мы долго и упорно строили один большой шлюз"), ("B", 1.6, heard)
    )
    assert len(found.backchannels) == backchannels


def test_a_listeners_word_after_which_nobody_goes_on_takes_the_floor() -> None:
    found = conversation_of(("A", 0.0, "Всё готово."), ("B", 1.5, "Хорошо."), ("A", 9.0, "Да."))
    assert [turn.speaker for turn in found.turns] == ["A", "B", "A"]


def test_a_reply_to_a_question_is_no_back_channel() -> None:
    found = conversation_of(
        ("A", 0.0, "Вы знаете Kafka?"), ("B", 2.0, "Да."), ("A", 3.0, "А Redis?")
    )
    assert not found.backchannels
    assert [turn.speaker for turn in found.turns] == ["A", "B", "A"]


def test_speech_that_the_holder_talks_through_takes_no_floor() -> None:
    """B speaks 2.0-3.4 s while A goes on until 9.9 s."""
    found = conversation_of(("A", 0.0, " ".join(["слово"] * 20)), ("B", 2.0, "можно мне сказать"))
    assert [turn.speaker for turn in found.turns] == ["A"]
    assert not found.interruptions


@pytest.mark.parametrize(
    ("start", "hit"),
    [
        (3.9, True),  # 1.0 s of overlap, A stops at 4.9 s
        (4.4, True),  # exactly 0.5 s
        (4.5, False),  # 0.4 s
        (2.9, True),  # A stops exactly 2.0 s later
        (2.8, False),  # A goes on for 2.1 s
    ],
)
def test_an_interruption_overlaps_for_500_ms_and_stops_the_holder_within_2_s(
    start: float, hit: bool
) -> None:
    found = conversation_of(
        ("A", 0.0, " ".join(["слово"] * 10)), ("B", start, "стоп подождите я не понял вас совсем")
    )
    assert bool(found.interruptions) is hit
    assert [turn.speaker for turn in found.turns] == ["A", "B"]


def test_nobody_waits_for_his_own_silence() -> None:
    """A fails to keep B from talking and speaks again after him: his wait counts from B's end."""
    found = conversation_of(("A", 0.0, "Начнём."), ("B", 1.4, "Давайте начнём."), ("A", 3.3, "Да."))
    assert [turn.silence_before_ms for turn in found.turns] == [None, 1000, 1000]


def test_unknown_speech_breaks_silence_and_takes_no_floor() -> None:
    found = conversation_of(("A", 0.0, "Первый."), (None, 5.0, "Кто-то."), ("B", 10.0, "Второй."))
    assert [turn.speaker for turn in found.turns] == ["A", "B"]
    assert len(found.long_pauses) == 2
    assert found.unattributed_ms == 400


@settings(max_examples=60, deadline=None, derandomize=True)
@given(sessions())
def test_turns_alternate_and_union_is_within_sum_and_session(session: InterviewSession) -> None:
    found = read_session(session).conversation
    assert all(a.speaker != b.speaker for a, b in pairwise(found.turns))
    total = sum(found.speech_ms.values()) + found.unattributed_ms
    assert found.union_ms <= min(total, found.session_ms)
    spans = found.speech_spans
    assert all(a[1] < b[0] for a, b in pairwise(spans))
    assert sum(stretch.length_ms for stretch in found.stretches) == total


def test_a_session_lasts_at_least_as_long_as_its_words() -> None:
    late = InterviewSession(segments=[segment(1, "A", 50.0, "Поздно.")], duration_s=10.0)
    assert read_session(late).conversation.session_ms == 50_400
