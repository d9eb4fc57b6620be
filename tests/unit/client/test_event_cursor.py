"""Events are let through once, in order, and a gap is doubted once."""

from __future__ import annotations

import pytest

from interview_agent.client.event_cursor import EventCursor
from interview_agent.domain.errors import ConnectionLost


def test_each_event_is_let_through_once() -> None:
    cursor = EventCursor()
    cursor.begin(4)
    cursor.begin(9)
    assert [cursor.admit(event) for event in (4, 5, 5, 6, 3)] == [False, True, False, True, False]
    assert cursor.last == 6


def test_a_gap_is_asked_about_once_and_then_taken_for_a_deletion() -> None:
    cursor = EventCursor()
    cursor.begin(1)
    with pytest.raises(ConnectionLost):
        cursor.admit(4)
    assert cursor.last == 1
    assert cursor.admit(4)
    with pytest.raises(ConnectionLost):
        cursor.admit(9)
