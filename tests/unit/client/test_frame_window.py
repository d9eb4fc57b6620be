"""Whatever is acknowledged, lost or resumed: every frame gets through once and in order."""

from __future__ import annotations

import random

import pytest

from interview_agent.client.frame_window import FrameWindow
from interview_agent.domain.errors import ConnectionLost, Refused


def window_of(count: int, *, sent: int = 0, first: int = 0) -> FrameWindow:
    window = FrameWindow(limit_bytes=1000)
    window.begin(first)
    for number in range(count):
        window.append(bytes([number]))
    for _ in range(sent):
        window.take_due(sent)
    return window


@pytest.mark.parametrize("seed", range(50))
def test_a_service_that_loses_acks_and_connections_gets_every_frame_once(seed: int) -> None:
    chance = random.Random(seed)
    window, durable, acknowledged = window_of(30), list[bytes](), 0
    while not window.is_empty:
        match chance.choice(["send", "send", "ack", "break"]):
            case "send":
                due = window.take_due(max_in_flight=4)
                if due is not None:
                    number, audio = due
                    assert number == len(durable)
                    durable.append(audio)
            case "ack" if acknowledged < len(durable):
                last = chance.randrange(acknowledged, len(durable))
                window.acknowledge(acknowledged, last)
                acknowledged = last + 1
            case "break":
                window.resume(len(durable))
                acknowledged = len(durable)
    assert durable == [bytes([number]) for number in range(30)]


@pytest.mark.parametrize(("first", "last"), [(1, 1), (0, 3), (0, -1), (5, 6)])
def test_an_ack_that_is_not_in_turn_is_not_believed(first: int, last: int) -> None:
    window = window_of(5, sent=3)
    with pytest.raises(ConnectionLost):
        window.acknowledge(first, last)
    assert window.first == 0


@pytest.mark.parametrize("next_frame", [9, 14])
def test_a_service_that_contradicts_itself_or_serves_another_is_left(next_frame: int) -> None:
    window = window_of(5, sent=3, first=10)
    with pytest.raises(Refused):
        window.resume(next_frame)


def test_the_window_is_full_at_its_bytes_and_has_room_after_an_ack() -> None:
    window = FrameWindow(limit_bytes=10)
    window.append(b"x" * 9)
    assert not window.is_full
    window.append(b"x")
    assert window.is_full
    assert window.take_due(1) == (0, b"x" * 9)
    window.acknowledge(0, 0)
    assert not window.is_full
