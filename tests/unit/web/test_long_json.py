"""Long answers are written as short ones are."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interview_agent.web.long_json import long_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text('aя"\\\n'),
    lambda inner: st.lists(inner, max_size=50) | st.dictionaries(st.text('aя"'), inner),
    max_leaves=30,
)


def at_once(content: dict[str, Any]) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


@settings(max_examples=50)
@given(st.dictionaries(st.text(), VALUES))
def test_pieces_add_up_to_what_one_call_writes(content: dict[str, Any]) -> None:
    assert long_json(content) == at_once(content)


@pytest.mark.parametrize("length", [0, 1, 19, 20, 21, 40, 41, 1000])
def test_no_element_of_a_list_is_lost_where_pieces_meet(length: int) -> None:
    content = {"list": [{"number": number, "inner": [[], {}]} for number in range(length)]}
    assert long_json(content) == at_once(content)
