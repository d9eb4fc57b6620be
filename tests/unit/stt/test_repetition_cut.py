"""Loops are cut, real repetitions are not."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from interview_agent.stt.repetition import cut_loops


class W(NamedTuple):
    text: str
    start_s: float
    end_s: float


def spoken(text: str, words_per_s: float) -> list[W]:
    """Return the words of a text at an even pace."""
    return [
        W(f" {word}", at / words_per_s, (at + 1) / words_per_s)
        for at, word in enumerate(text.split())
    ]


def text_of(words: tuple[W, ...]) -> str:
    return "".join(word.text for word in words).strip()


REAL = [
    ("да, да, да", 4.0),
    ("Да, да, да, да, да, да, да, да, да, да.", 5.0),
    ("нет нет нет нет я так не думаю", 6.0),
    ("ask not what your country can do for you, ask what you can do for your country", 3.0),
    ("we go round and round and round and round and round and round the house", 4.0),
    ("one two three four one two three four one two three four", 5.0),
    ("very very very very very good", 9.0),
    ("", 1.0),
]


@pytest.mark.parametrize(("text", "words_per_s"), REAL)
def test_what_people_say_survives(text: str, words_per_s: float) -> None:
    """Repetitions at a human pace, and short fast ones, stay as they are."""
    assert text_of(cut_loops(spoken(text, words_per_s))) == text


@pytest.mark.parametrize("phrase", ["Спасибо.", "I'm sorry.", "and the next one is the best one"])
def test_a_phrase_faster_than_speech_is_said_once(phrase: str) -> None:
    """Ten rounds at nine words a second become one, and the words around them stay."""
    text = f"well {' '.join([phrase] * 10)} indeed"
    assert text_of(cut_loops(spoken(text, 9.0))) == f"well {phrase} indeed"


def test_words_without_duration_are_a_loop() -> None:
    """A run that takes no time was not spoken, however long the pause in it."""
    words = [W(" so", 1.0 + (at == 11) * 20, 1.0 + (at == 11) * 20.3) for at in range(12)]
    assert len(cut_loops(words)) == 1


def test_a_phrase_repeated_without_end_is_a_loop_at_any_pace() -> None:
    """Nobody says the same two words fifteen times in half a minute."""
    assert text_of(cut_loops(spoken("thank you " * 15, 1.5))) == "thank you"
