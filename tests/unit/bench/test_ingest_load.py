"""What the ingest benchmark sends, and how it reads what comes back."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from intake.load import Load, Outcome, Sample, at_percentile
from intake.uploads import Answer, read_head
from intake.websocket_frames import BINARY, TEXT, Message, client_frame, read_frame


def test_loads_and_outcomes_pass_from_process_to_process_unchanged() -> None:
    load = Load("uploads", 3, 2.0, per_s=5.0, address="http://h:1", key="k", prefix="p")
    assert Load.from_json(load.to_json()) == load
    outcome = Outcome(1.0, 2.0, 0.5, [Sample(1.0, None)], [Sample(1.5, 3.0)], [0.1])
    outcome.refusals.update({"429": 2})
    assert Outcome.from_json(outcome.to_json()) == outcome
    assert isinstance(Outcome.from_json(outcome.to_json()).refusals, Counter)


def test_a_stream_is_due_once_a_second_and_listeners_share_quiet_meetings() -> None:
    load = Load("streams", 2, 3.0, listeners=101, prefix="p")
    assert load.moments_s(10.25) == [10.25, 11.25, 12.25]
    assert load.meetings == ["p-0", "p-1"]
    assert len(load.quiet) == 101
    assert len(set(load.quiet)) == 50
    assert not set(load.quiet) & set(load.meetings)


def test_what_never_came_is_later_than_everything_else() -> None:
    samples = [Sample(0.0, float(took)) for took in range(1, 99)]
    assert at_percentile([*samples, Sample(0.0, None), Sample(0.0, None)], 98) == 98.0
    assert at_percentile([*samples, Sample(0.0, None), Sample(0.0, None)], 99) is None
    assert at_percentile([], 50) is None


def test_chunks_a_second_are_counted_until_the_last_ack_of_what_was_acked() -> None:
    outcome = Outcome(10.0, 99.0, acks=[Sample(10.0, 1000.0), Sample(11.0, 1000.0)])
    outcome.acks.append(Sample(11.5, None))
    assert outcome.acked_per_s == pytest.approx(1.0)
    assert Outcome(10.0).acked_per_s == 0.0


def test_an_outcome_is_whole_when_all_was_acked_and_nothing_refused() -> None:
    assert Outcome(acks=[Sample(0.0, 1.0)]).is_whole
    assert not Outcome().is_whole
    assert not Outcome(acks=[Sample(0.0, None)]).is_whole
    assert not Outcome(acks=[Sample(0.0, 1.0)], refusals=Counter({"429": 1})).is_whole


@pytest.mark.parametrize("size_bytes", [0, 125, 126, 0xFFFF, 0x10000])
async def test_frames_of_every_length_are_read_as_they_were_written(size_bytes: int) -> None:
    payload = bytes(range(256)) * 257
    frame = client_frame(BINARY, payload[:size_bytes])
    reader = asyncio.StreamReader()
    # A service sends the same without the key of four zeros.
    key_at = len(frame) - size_bytes - 4
    assert frame[key_at : key_at + 4] == bytes(4)
    reader.feed_data(frame[:key_at] + frame[key_at + 4 :])
    assert await read_frame(reader) == Message(BINARY, payload[:size_bytes])


def test_frames_of_clients_say_that_they_are_masked() -> None:
    assert client_frame(TEXT, b"hi") == b"\x81\x82\0\0\0\0hi"


def test_the_head_of_an_answer_says_whether_and_when_to_come_back() -> None:
    head = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 7\r\n"
    assert read_head(head + b"Connection: close\r\n\r\n") == (Answer(429, True, True), 7)
    assert read_head(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n") == (
        Answer(200, False, False),
        9,
    )
