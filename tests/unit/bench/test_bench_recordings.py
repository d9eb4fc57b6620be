"""Recordings and the conversations that are made of them."""

from __future__ import annotations

import json
import wave
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from captions.recordings import (
    AUDIO,
    SAMPLE_RATE,
    Conversation,
    Recording,
    conversation,
    heard_in_batch,
    interview,
    joined,
    load_folder,
    rotated,
    shortened,
    within,
)
from captions.words import TimedWord, texts

if TYPE_CHECKING:
    from pathlib import Path


def spoken(seconds: float = 40.0, name: str = "r") -> Recording:
    """Return a recording whose samples tell their second, with a pause after each fifth."""
    samples = (np.arange(int(seconds * SAMPLE_RATE)) // SAMPLE_RATE + 1).astype(np.int16)
    words = tuple(
        TimedWord(f"w{at}", at + 0.0, at + (0.5 if at % 5 == 4 else 1.0))
        for at in range(int(seconds))
    )
    return Recording(name, "en", samples, words, tuple(texts(words)))


def write(path: Path, samples: np.ndarray) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", "none"))
        file.writeframes(samples.astype("<i2").tobytes())


def test_the_shipped_recordings_have_words_inside_of_them_and_fit_their_text() -> None:
    recordings = load_folder(AUDIO, None)
    assert {each.language for each in recordings} == {"en", "ru"}
    for each in recordings:
        assert each.words[-1].end_s < each.seconds
        assert texts(each.words) == list(each.text)
        starts = [word.start_s for word in each.words]
        assert starts == sorted(starts)


def test_word_times_and_texts_are_read_from_beside_a_recording(tmp_path: Path) -> None:
    sound = np.arange(SAMPLE_RATE)
    for name in ("both", "text", "none"):
        write(tmp_path / f"{name}.wav", sound)
    facts = {"language": "ru", "words": [["Раз,", 0.1, 0.4], ["два", 0.4, 0.8]]}
    (tmp_path / "both.json").write_text(json.dumps(facts), encoding="utf-8")
    (tmp_path / "text.txt").write_text("Three, four!", encoding="utf-8")
    found = {each.name: each for each in load_folder(tmp_path, None)}
    assert found["both"].words == (TimedWord("раз", 0.1, 0.4), TimedWord("два", 0.4, 0.8))
    assert found["both"].text == ("раз", "два")
    assert (found["text"].words, found["text"].text) == ((), ("three", "four"))
    assert (found["none"].words, found["none"].text) == ((), ())
    assert [each.language for each in load_folder(tmp_path, "ru")] == ["ru", "ru", "ru"]
    assert np.array_equal(found["none"].samples, sound)


def test_a_folder_without_a_fitting_recording_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "x.wav", np.zeros(100))
    (tmp_path / "x.json").write_text('{"language": "en", "words": []}', encoding="utf-8")
    with pytest.raises(ValueError, match="in ru"):
        load_folder(tmp_path, "ru")


def test_short_recordings_of_one_kind_are_joined_and_their_words_moved() -> None:
    russian = replace(spoken(5, "ru"), language="ru")
    unknown = replace(spoken(5, "any"), language=None)
    wordless = replace(spoken(5, "text"), words=())
    every = [spoken(5, "a"), spoken(40, "long"), russian, spoken(5, "b"), unknown, wordless]
    whole, *others = joined(every)
    assert [each.name for each in others] == ["long", "ru", "any", "text"]
    assert whole.name == "a+1"
    assert texts(whole.words) == list(whole.text) == [f"w{at}" for at in range(5)] * 2
    for word in whole.words:
        middle = int((word.start_s + word.end_s) / 2 * SAMPLE_RATE)
        assert whole.samples[middle] == int(word.text[1:]) + 1


def test_of_each_language_so_much_is_taken_short_recordings_whole_or_not_at_all() -> None:
    russian = replace(spoken(30, "ru"), language="ru")
    every = [spoken(19, "a"), spoken(5, "d"), spoken(40, "b"), russian, spoken(19, "c")]
    taken, left_out = within(every, 50.0)
    assert [each.name for each in taken] == ["a", "d", "b", "ru"]
    assert [each.seconds for each in taken[:2]] == [19.0, 5.0]
    assert 20.0 < taken[2].seconds <= 26.0
    assert left_out == ["c"]


def test_a_batch_pass_gives_only_what_is_missing_and_says_so() -> None:
    heard = [TimedWord("w0", 0.1, 0.9), TimedWord("other", 1.0, 1.5)]
    known = heard_in_batch(spoken(4), heard)
    assert known.words == spoken(4).words
    assert known.batch_share == 0.25
    assert known.note == ""
    silent = np.zeros(10, np.int16)
    only_text = heard_in_batch(Recording("r", "en", silent, text=("w0", "w1")), heard)
    assert (only_text.words, only_text.text) == (tuple(heard), ("w0", "w1"))
    assert "aligned" in only_text.note
    nothing = heard_in_batch(Recording("r", "en", silent), heard)
    assert (nothing.words, nothing.text) == (tuple(heard), ("w0", "other"))
    assert "reference text" in nothing.note


def test_a_recording_is_cut_in_the_last_pause_that_fits() -> None:
    short = shortened(spoken(40), 12.0)
    assert 9.5 < short.seconds < 10.0
    assert [word.text for word in short.words] == [f"w{at}" for at in range(10)]
    assert short.text == tuple(f"w{at}" for at in range(10))
    assert shortened(spoken(40), 40.0).seconds == 40.0


def test_a_text_without_times_is_left_out_when_its_sound_is_cut() -> None:
    whole = Recording("r", "en", np.zeros(10 * SAMPLE_RATE, np.int16), text=("a", "b"))
    short = shortened(whole, 3.0)
    assert (short.seconds, short.text) == (3.0, ())


def test_a_conversation_gives_every_word_and_sample_to_exactly_one_side() -> None:
    whole = spoken()
    one, other = conversation(whole).tracks
    assert sorted((*one.words, *other.words), key=lambda word: word.start_s) == list(whole.words)
    assert np.array_equal(one.samples + other.samples, whole.samples)
    assert 0.4 < np.count_nonzero(one.samples) / len(whole.samples) < 0.6


def test_a_rotated_conversation_holds_the_same_words_where_they_are_in_the_sound() -> None:
    whole = conversation(spoken())
    turned = rotated(whole, 0.5)
    for before, after in zip(whole.tracks, turned.tracks, strict=True):
        assert sorted(texts(before.words)) == sorted(texts(after.words))
        for word in after.words:
            middle = int((word.start_s + word.end_s) / 2 * SAMPLE_RATE)
            assert after.samples[middle] == int(word.text[1:]) + 1
    assert turned.tracks[0].samples[0] != whole.tracks[0].samples[0]


def test_rotations_of_one_conversation_begin_in_different_pauses() -> None:
    whole = Conversation("c", (spoken(),))
    begins = {rotated(whole, turn / 4).tracks[0].samples[0] for turn in range(4)}
    assert len(begins) == 4


def test_the_sample_interview_is_two_streams_of_the_same_length() -> None:
    one, other = interview().tracks
    assert one.seconds == other.seconds
    assert one.text[:2] == ("good", "morning")
    assert other.text[:2] == ("of", "course")
