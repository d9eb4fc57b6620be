"""What is left of a segment for somebody who must not see personal data."""

from __future__ import annotations

from interview_agent.domain.pii.disclosure import masked_segment
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
    seen = masked_segment(segment(RAW, *halves))
    assert "916" not in repr(seen)
    assert "45" not in repr(seen)
    assert seen.raw_text == "ну мой номер [PHONE] звоните эээ вечером"
    assert seen.text == "Ну мой номер [PHONE] звоните эээ вечером."


def test_a_change_still_points_at_its_words_in_the_masked_text() -> None:
    seen = masked_segment(segment(RAW, change(RAW, "ну"), change(RAW, "эээ")))
    assert [each.before for each in seen.changes] == ["ну", "эээ"]
    for each in seen.changes:
        assert seen.raw_text[each.start : each.start + len(each.before)] == each.before


def test_a_change_inside_personal_data_points_at_its_label() -> None:
    seen = masked_segment(segment(RAW, change(RAW, "123-45", "12345")))
    (only,) = seen.changes
    assert only.before == only.after == "[PHONE]"
    assert seen.raw_text[only.start :].startswith("[PHONE]")


def test_an_insertion_just_after_personal_data_is_left_alone() -> None:
    raw = "пишите на a@b.ru вечером"
    end = raw.index(" вечером")
    seen = masked_segment(segment(raw, Change("punctuation", "", ",", end)))
    (only,) = seen.changes
    assert (only.before, only.after) == ("", ",")
    assert seen.raw_text[: only.start].endswith("[EMAIL]")


def test_words_keep_their_times() -> None:
    seen = masked_segment(segment(RAW))
    assert [word.start_s for word in seen.words] == [float(n) for n in range(len(seen.words))]
    assert not any(character.isdigit() for word in seen.words for character in word.text)


def test_a_segment_without_personal_data_is_unchanged() -> None:
    plain = segment("ну это было короче на 5 мм")
    seen = masked_segment(plain)
    assert (seen.raw_text, seen.text, seen.words) == (plain.raw_text, plain.text, plain.words)
