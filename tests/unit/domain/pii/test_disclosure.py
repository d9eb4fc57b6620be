"""What is left of a segment for somebody who must not see personal data."""

from __future__ import annotations

from dataclasses import replace

import pytest

from interview_agent.domain.pii.disclosure import (
    NEIGHBOUR_MAX_GAP_S,
    QuoteMask,
    masked_among,
    masked_segments,
)
from interview_agent.domain.transcript import Change, Segment, Word

RAW = "ну мой номер 8 916 123-45-67 звоните эээ вечером"


def segment(raw: str, *changes: Change) -> Segment:
    words = tuple(Word(text, float(n), n + 0.5) for n, text in enumerate(raw.split()))
    return Segment(
        meeting_id="m",
        segment_id="s",
        track="main",
        start_s=0.0,
        end_s=9.0,
        raw_text=raw,
        text=raw.capitalize() + ".",
        words=words,
        speaker="Анна +7 916 123-45-67",
        changes=changes,
    )


def change(raw: str, before: str, after: str = "") -> Change:
    return Change("rule", before, after, raw.index(before))


def test_no_field_of_a_masked_segment_keeps_a_digit_of_a_phone() -> None:
    halves = (change(RAW, "8 916", "8-916"), change(RAW, "45-67", "4567"), change(RAW, RAW, RAW))
    seen = masked_among(segment(RAW, *halves), ())
    assert "916" not in repr(seen)
    assert "45" not in repr(seen)
    assert seen.raw_text == "ну мой номер [PHONE] звоните эээ вечером"
    assert seen.text == "Ну мой номер [PHONE] звоните эээ вечером."


def test_a_change_still_points_at_its_words_in_the_masked_text() -> None:
    seen = masked_among(segment(RAW, change(RAW, "ну"), change(RAW, "эээ")), ())
    assert [each.before for each in seen.changes] == ["ну", "эээ"]
    for each in seen.changes:
        assert seen.raw_text[each.start : each.start + len(each.before)] == each.before


def test_a_change_inside_personal_data_points_at_its_label() -> None:
    seen = masked_among(segment(RAW, change(RAW, "123-45", "12345")), ())
    (only,) = seen.changes
    assert only.before == only.after == "[PHONE]"
    assert seen.raw_text[only.start :].startswith("[PHONE]")


def test_an_insertion_just_after_personal_data_is_left_alone() -> None:
    raw = "пишите на a@b.ru вечером"
    end = raw.index(" вечером")
    seen = masked_among(segment(raw, Change("punctuation", "", ",", end)), ())
    (only,) = seen.changes
    assert (only.before, only.after) == ("", ",")
    assert seen.raw_text[: only.start].endswith("[EMAIL]")


def test_words_keep_their_times() -> None:
    seen = masked_among(segment(RAW), ())
    assert [word.start_s for word in seen.words] == [float(n) for n in range(len(seen.words))]
    assert not any(character.isdigit() for word in seen.words for character in word.text)


def test_a_segment_without_personal_data_is_unchanged() -> None:
    plain = segment("ну это было короче на 5 мм")
    seen = masked_among(plain, ())
    assert (seen.raw_text, seen.text, seen.words) == (plain.raw_text, plain.text, plain.words)


def neighbours(*raws: str, gap_s: float = 0.5) -> list[Segment]:
    """Segments of one track, `gap_s` apart, each a second long."""
    return [
        replace(
            segment(raw),
            segment_id=f"s{at}",
            start_s=at * (1 + gap_s),
            end_s=at * (1 + gap_s) + 1,
            speaker=None,
        )
        for at, raw in enumerate(raws)
    ]


@pytest.mark.parametrize(
    "raws",
    [
        ("мой номер 8 916", "123-45-67 звоните"),
        ("мой номер 8 916.", "123-45-67. Звоните"),
        ("номер плюс +7 916...", "...123", "45 67 вечером"),
        ("my card is 4111 1111", "1111 1111 thanks"),
        ("почта ivan.petrov", "@mail.ru пишите"),
    ],
)
def test_what_is_dictated_over_the_end_of_a_segment_is_hidden_on_both_sides(
    raws: tuple[str, ...],
) -> None:
    seen = masked_segments(neighbours(*raws))
    for each in seen:
        shown = repr((each.raw_text, each.text, [word.text for word in each.words]))
        assert "[" in each.raw_text
        assert not any(half in shown for half in ("916", "123", "45", "1111", "petrov", "mail"))
    assert [len(each.words) for each in seen] == [len(raw.split()) for raw in raws]


def test_neighbours_are_those_of_the_same_track_within_seconds() -> None:
    first, second = neighbours("мой номер 8 916", "123-45-67 звоните")
    on_another_track = replace(second, track="other")
    much_later = replace(second, start_s=first.end_s + NEIGHBOUR_MAX_GAP_S + 0.1, end_s=99.0)
    for stranger in (on_another_track, much_later):
        assert [each.raw_text for each in masked_segments([first, stranger])] == [
            "мой номер 8 916",
            "123-45-67 звоните",
        ]


def test_what_names_a_number_may_stand_in_the_segment_before() -> None:
    alone, named = "4510123456 вот так", "мой паспорт"
    assert masked_among(segment(alone), ()).raw_text == alone
    seen = masked_segments(neighbours(named, alone))
    assert [each.raw_text for each in seen] == [named, "[PASSPORT] вот так"]
    assert [word.text for word in seen[1].words] == ["[PASSPORT]", "вот", "так"]


def test_order_of_input_is_kept_and_does_not_matter() -> None:
    pair = neighbours("мой номер 8 916", "123-45-67 звоните")
    there, back = masked_segments(pair), masked_segments(pair[::-1])
    assert there == back[::-1]
    assert [each.segment_id for each in back] == ["s1", "s0"]


def test_what_a_segment_holds_alone_is_hidden_whatever_its_neighbours_say() -> None:
    seen = masked_segments(neighbours("звоните 8 916 123-45-67", "12 раз", "а лучше a@b.ru"))
    assert [each.raw_text for each in seen] == ["звоните [PHONE]", "12 раз", "а лучше [EMAIL]"]


def test_neighbours_without_personal_data_are_unchanged() -> None:
    plain = neighbours("было 15 человек.", "в 2016 году 300 000 рублей", "и 5 мм")
    assert [each.raw_text for each in masked_segments(plain)] == [each.raw_text for each in plain]


def test_a_change_on_half_of_a_number_is_not_shown() -> None:
    first, second = neighbours("мой номер 8 916", "123-45-67 звоните")
    first = replace(first, changes=(change(first.raw_text, "8 916", "8-916"),))
    (only,) = masked_segments([first, second])[0].changes
    assert only.before == only.after == "[PHONE]"


def test_a_quote_of_half_a_number_is_masked_wherever_it_stands() -> None:
    hide = QuoteMask(neighbours("мой номер 8 916.", "123-45-67 звоните"))
    report = {"summary": "мой номер 8 916.", "quotes": [{"text": "123-45-67 звоните", "n": 916}]}
    assert hide.tree(report) == {
        "summary": "мой номер [PHONE].",
        "quotes": [{"text": "[PHONE] звоните", "n": 916}],
    }
    assert (
        hide.text("мой номер 8 916 123-45-67, почта a@b.ru") == "мой номер [PHONE], почта [EMAIL]"
    )


def test_a_quote_mask_of_nothing_special_masks_as_always() -> None:
    assert QuoteMask([]).text("почта a@b.ru, 916 и 8 916") == "почта [EMAIL], 916 и 8 916"
