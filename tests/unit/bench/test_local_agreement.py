"""The baseline: what two hearings agree on stands, and long windows are cut."""

from __future__ import annotations

import numpy as np

from captions.local_agreement import SAMPLE_RATE, Hearing, LocalAgreement, Sound, Spoken


class Script:
    """Hears what it is told to, and remembers what it was given."""

    def __init__(self, *hearings: tuple[str, ...]) -> None:
        self.hearings = list(hearings)
        self.lengths_s: list[float] = []
        self.prompts: list[str] = []

    def __call__(self, sound: Sound, prompt: str) -> Hearing:
        self.lengths_s.append(len(sound) / SAMPLE_RATE)
        self.prompts.append(prompt)
        words = tuple((f" {word}", float(at), at + 1.0) for at, word in enumerate(self.hearings[0]))
        del self.hearings[0]
        return Hearing(words, tuple(end_s for _, _, end_s in words if end_s % 4 == 0))


def second(count: float = 1.0) -> Sound:
    return np.zeros(int(count * SAMPLE_RATE), np.float32)


def texts(words: list[Spoken] | tuple[Spoken, ...]) -> str:
    return "".join(text for text, _, _ in words).strip()


def test_only_what_two_hearings_in_a_row_begin_with_is_committed() -> None:
    stream = LocalAgreement(Script(("a", "b", "x"), ("a", "b", "c"), ("a", "b", "c", "d")))
    assert texts(stream.step(second())) == ""
    assert texts(stream.step(second())) == "a b"
    assert texts(stream.pending) == "c"
    assert texts(stream.step(second())) == "c"
    assert texts(stream.finish()) == "d"


def test_committed_words_that_are_heard_again_are_not_committed_again() -> None:
    stream = LocalAgreement(Script(("a", "b"), ("a", "b", "c"), ("a", "b", "c"), ("a", "b", "c")))
    committed = [texts(stream.step(second())) for _ in range(4)]
    assert committed == ["", "a b", "c", ""]


def test_a_window_past_its_length_is_cut_after_a_segment_and_its_text_becomes_the_prompt() -> None:
    spoken = tuple("abcdefghijklmnop")
    script = Script(spoken, spoken, ())
    stream = LocalAgreement(script)
    stream.step(second(8))
    stream.step(second(8))
    stream.step(second(1))
    # Segments end at 4, 8, 12 and 16 s; the last one may still grow.
    assert script.lengths_s == [8.0, 16.0, 5.0]
    assert script.prompts == ["", "", " a b c d e f g h i j k l"]


def test_times_after_a_cut_count_from_the_start_of_the_track() -> None:
    spoken = tuple("abcdefghijklmnop")
    stream = LocalAgreement(Script(spoken, spoken, ("m", "n", "o", "p", "q"), (*"mnop", "q")))
    for length_s in (8, 8, 1):
        stream.step(second(length_s))
    assert stream.step(second()) == [(" q", 16.0, 17.0)]
