"""How much of a growing text can no longer become personal data."""

from __future__ import annotations

import pytest

from interview_agent.domain.pii.disclosure import masked_among, masked_segments
from interview_agent.domain.pii.unfinished import settled_text
from interview_agent.domain.transcript import Segment, Word


@pytest.mark.parametrize(
    ("text", "settled"),
    [
        ("", ""),
        ("и потом мы пошли", "и потом мы пошли"),
        ("мой номер 8", "мой номер"),
        ("мой номер 8 916 123", "мой номер"),
        ("мой номер 8, эм, 916", "мой номер"),
        ("паспорт 4509 номер", "паспорт"),
        ("паспорт 4509 за номером 12", "паспорт"),
        ("8 916", ""),
        ("в 2019 году мы", "в"),
        ("в 2019 году мы начали", "в 2019 году мы начали"),
        ("в 2019 году мы начали с 3 человек", "в 2019 году мы начали с"),
        ("пишите ivan@mail", "пишите"),
        ("пишите ivan @mail", "пишите"),
        ("пишите ivan собака mail точка", "пишите"),
        ("у меня собака и она лает громко каждый день под утро", None),
        ("номер [PHONE] звоните", "номер [PHONE] звоните"),
    ],
)
def test_a_number_or_an_address_that_may_go_on_is_held_back(text: str, settled: str | None) -> None:
    assert settled_text(text) == (text if settled is None else settled)


def segment(segment_id: str, text: str, start_s: float, *, is_final: bool = True) -> Segment:
    words = tuple(Word(each, start_s + n, start_s + n + 0.5) for n, each in enumerate(text.split()))
    end_s = start_s + len(words)
    return Segment("m", segment_id, "main", start_s, end_s, text, text, words, is_final=is_final)


def test_a_final_segment_is_shown_to_its_end() -> None:
    final = segment("s", "это было в 2019", 0.0)
    assert masked_among(final, ()) == final
    growing = masked_among(segment("s", "это было в 2019", 0.0, is_final=False), ())
    assert growing.raw_text == growing.text == "это было в"
    assert [word.text for word in growing.words] == ["это", "было", "в"]


def test_one_segment_is_masked_among_others_as_it_is_in_the_whole_transcript() -> None:
    whole = [
        segment("a", "мой номер 8 916", 0.0),
        segment("b", "123 45 67 звоните", 5.0),
        segment("c", "почта ivan", 10.0),
        segment("d", "@mail.ru ясно", 13.0),
        segment("far", "45 67", 100.0),
    ]
    expected = masked_segments(whole)
    assert "123" not in repr([each.raw_text for each in expected])
    for at, each in enumerate(whole):
        others = whole[:at] + whole[at + 1 :]
        assert masked_among(each, others) == expected[at]
