"""How the words of a window become segments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from interview_agent.stt.segmenter import MAX_SEGMENT_S, MAX_SEGMENT_WORDS, segments_of
from interview_agent.stt.timeline import PlacedWord

if TYPE_CHECKING:
    from interview_agent.domain.transcript import DraftSegment


def said(text: str, start_s: float = 0.0, stretch: int = 0) -> list[PlacedWord]:
    return [
        PlacedWord(f" {word}", start_s + at * 0.4, start_s + at * 0.4 + 0.3, 0.5, stretch)
        for at, word in enumerate(text.split())
    ]


def cut(words: list[PlacedWord]) -> tuple[DraftSegment, ...]:
    return segments_of(words, language="en", seq_at=int)


def texts(words: list[PlacedWord]) -> list[str]:
    return [segment.text for segment in cut(words)]


def test_sentences_are_segments() -> None:
    """A full stop ends a segment, an abbreviation or a small letter after it does not."""
    assert texts(said("Good morning. How are you? Fine!")) == [
        "Good morning.",
        "How are you?",
        "Fine!",
    ]
    assert texts(said("I met Mr. Smith. He paid 3.5 million.")) == [
        "I met Mr. Smith.",
        "He paid 3.5 million.",
    ]
    assert texts(said("Это было в 2020 г. Потом... потом всё.")) == [
        "Это было в 2020 г. Потом... потом всё."
    ]


def test_pauses_and_removed_silence_end_a_segment() -> None:
    """Words more than a second apart, or with silence cut out between them, are apart."""
    assert texts(said("one two") + said("three", 2.0)) == ["one two", "three"]
    assert texts(said("one two") + said("three", 0.9, stretch=9)) == ["one two", "three"]
    assert texts(said("one two") + said("three", 1.1)) == ["one two three"]


def test_text_is_joined_as_it_was_written() -> None:
    """Words without a space before them stay attached."""
    words = [
        PlacedWord(" кто", 0, 0.2, 0.9, 0),
        PlacedWord("-то", 0.2, 0.4, 0.7, 0),
        PlacedWord(" там", 0.4, 0.6, None, 0),
    ]
    (segment,) = cut(words)
    assert segment.text == "кто-то там"
    assert [word.text for word in segment.words] == ["кто", "-то", "там"]
    assert segment.confidence == 0.8


def test_a_long_sentence_is_cut_at_a_comma() -> None:
    """The last comma of the second half is where a sentence without end is cut."""
    sentence = " ".join(["word"] * 30 + ["here,"] + ["word"] * 30)
    assert [len(segment.words) for segment in cut(said(sentence))] == [31, 30]


def test_a_segment_names_its_first_and_last_chunk() -> None:
    """The chunks are those that sound at its start and at its end."""
    (segment,) = cut(said("a b c d e f", 2.5))
    assert (segment.first_seq, segment.last_seq) == (2, 4)


@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b.", "C", "d,", "-e"]), st.sampled_from([0.1, 0.9, 1.4])),
        max_size=120,
    )
)
def test_no_word_is_lost_and_no_segment_is_too_long(words: list[tuple[str, float]]) -> None:
    """All words come out in their order, within the limits."""
    placed, at = [], 0.0
    for text, step in words:
        placed.append(PlacedWord(f" {text}", at, at + 0.1, 1.0, 0))
        at += step
    segments = cut(placed)
    assert [w.text for s in segments for w in s.words] == [text for text, _ in words]
    assert all(len(s.words) <= MAX_SEGMENT_WORDS for s in segments)
    assert all(s.end_s - s.start_s <= MAX_SEGMENT_S for s in segments)
