"""Text from outside is made printable and short, and stays recognisable."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from interview_agent.domain.escaping import escaped

ANY = st.text(st.characters(), max_size=600)


@given(ANY)
def test_any_text_becomes_printable_short_and_encodable(text: str) -> None:
    safe = escaped(text, 256)
    assert safe.isprintable()
    assert len(safe) <= 256
    assert safe.encode().decode() == safe


@given(ANY)
def test_escaping_again_changes_nothing(text: str) -> None:
    safe = escaped(text, 64)
    assert escaped(safe, 64) == safe


def test_what_is_printable_stays_as_it_is() -> None:
    for text in ("", "/v1/meetings", "встреча 👩", 'a"}{\\', "x" * 256):
        assert escaped(text, 256) == text


def test_what_is_not_printable_can_still_be_read() -> None:
    assert escaped("a\0\r\n\x1b[1m\u202e\ud800", 256) == "a\\x00\\r\\n\\x1b[1m\\u202e\\ud800"


def test_a_long_text_keeps_its_beginning_and_is_told_from_others_by_a_hash() -> None:
    first, second = (escaped("/" + "x" * 8_000 + end, 256) for end in "ab")
    assert first[:200] == second[:200] == "/" + "x" * 199
    assert first != second
    assert first[:-16].endswith("...sha256:")


def test_a_text_that_only_its_escapes_make_too_long_is_cut_as_well() -> None:
    assert len(escaped("\0" * 64, 64)) == 64
