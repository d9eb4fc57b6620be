"""Names of meetings and tracks, trace ids, addresses."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from interview_agent.domain.errors import ValidationFailed
from interview_agent.domain.ids import check_name, is_address, new_meeting_id, trace_id_of

TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.mark.parametrize("name", ["a", "7", "mtg_20260101000000_abcdef0123", "A.b-c_d", "a" * 64])
def test_a_name_is_returned_as_it_is(name: str) -> None:
    assert check_name(name, "meeting_id") == name


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "-a", "_a", "a/b", "a\\b", "a b", "a\n", "a\0", "а", "a" * 65, "~", "a%2f"],
)
def test_what_could_be_a_path_or_end_a_line_is_no_name(name: str) -> None:
    with pytest.raises(ValidationFailed) as refused:
        check_name(name, "track")
    (error,) = refused.value.details["errors"]
    assert error["loc"] == ["track"]


def test_a_made_id_carries_its_time_and_is_a_name() -> None:
    made = new_meeting_id(datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC), "0123456789abcdef")
    assert made == "mtg_20260203040506_0123456789"
    assert check_name(made, "meeting_id") == made


@pytest.mark.parametrize(
    ("header", "traceparent", "expected"),
    [
        (None, None, None),
        (TRACE, None, TRACE),
        (f" {TRACE.upper()} ", None, TRACE),
        (TRACE, f"00-{'b' * 32}-{'c' * 16}-01", "b" * 32),
        (TRACE, "00-short-c-01", TRACE),
        (None, f"00-{'B' * 32}-{'c' * 16}-01", None),
        ("x" * 32, None, None),
        ("0" * 32, None, None),
        (TRACE, f"00-{'0' * 32}-{'c' * 16}-01", TRACE),
        (TRACE + "0", None, None),
        (f"{TRACE}\r\nX: 1", None, None),
    ],
)
def test_a_trace_id_is_adopted_only_if_it_is_one(
    header: str | None, traceparent: str | None, expected: str | None
) -> None:
    assert trace_id_of(header, traceparent) == expected


@pytest.mark.parametrize("text", ["a@b", "first.last+tag@example.co", "анна@почта.рф"])
def test_an_address_has_a_part_on_either_side(text: str) -> None:
    assert is_address(text)


@pytest.mark.parametrize(
    "text", ["", "a", "@b", "a@", "a@b@c", "a b@c", "a@b\n", "a@b\r\nBcc: c@d", "a@b\0", "<a@b>"]
)
def test_what_could_end_a_header_is_no_address(text: str) -> None:
    assert not is_address(text)
