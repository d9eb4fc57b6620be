"""Cursors come back as they were; others are refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interview_agent.domain.cursor import read_cursor, write_cursor
from interview_agent.domain.errors import ValidationFailed


@given(st.lists(st.one_of(st.text(), st.integers())))
def test_a_position_comes_back_as_it_was(position: list[str | int]) -> None:
    assert read_cursor(write_cursor(position), [type(each) for each in position]) == position


@given(st.text())
def test_text_that_we_never_gave_is_a_validation_error(text: str) -> None:
    with pytest.raises(ValidationFailed):
        read_cursor(text, (str, str, str, str, int))


def test_a_position_of_other_types_is_a_validation_error() -> None:
    for position in ((1, "a"), ("a",), ("a", 1, 2), ("a", True)):
        with pytest.raises(ValidationFailed):
            read_cursor(write_cursor(position), (str, int))
