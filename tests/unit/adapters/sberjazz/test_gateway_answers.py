"""What is made of the JSON of a gateway."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interview_agent.adapters.sberjazz.answer import Answer, failure_of
from interview_agent.adapters.sberjazz.readings import (
    MAX_PAGE_CHUNKS,
    MAX_PARTICIPANTS,
    read_health,
    read_page,
    read_session,
)
from interview_agent.domain.connector import EndReason, SessionState
from interview_agent.domain.errors import ConnectorInvalidResponse
from interview_agent.ports.connector import LiveChunk, LivePage, Participant

SOUND = b"\1\0\2\0"
CHUNK: dict[str, Any] = {"id": "c1", "content_b64": base64.b64encode(SOUND).decode()}
TEXTS = st.sampled_from(["", "id", "active", "7", "AQA=", "pcm", "a\nb", "\ud800", "delivery"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
FIELDS = ("chunks", "next_cursor", "state", "reason", "epoch", "participants", "audio")
CHUNK_FIELDS = ("id", "content_b64", "seq", "codec", "sample_rate", "channels", "participant")


def page(*chunks: Any, cursor: Any = "2", asked: str | None = None) -> LivePage:
    document = {"chunks": list(chunks), "next_cursor": cursor}
    return read_page(document, asked=asked, chunk_max_bytes=1000)


def session(**fields: Any) -> Any:
    return read_session({"state": "active", **fields}, default=None)


def test_what_a_bare_chunk_leaves_out_is_pcm_of_the_room() -> None:
    assert page(CHUNK).chunks == [LiveChunk("c1", SOUND)]


def test_a_whole_chunk_is_taken_as_it_is() -> None:
    fields = {
        "seq": 7,
        "epoch": 2,
        "codec": "audio/webm;codecs=opus",
        "sample_rate": 48_000,
        "channels": 2,
        "captured_at_ms": 1_795_687_261_000,
        "duration_ms": 20.0,
        "sha256": hashlib.sha256(SOUND).hexdigest().upper(),
        "participant": {"id": 17, "name": " Ан\u202eна\n "},
    }
    (chunk,) = page(CHUNK | fields).chunks
    assert chunk == LiveChunk(
        "c1",
        SOUND,
        seq=7,
        epoch=2,
        codec="audio/webm;codecs=opus",
        sample_rate=48_000,
        channels=2,
        participant=Participant("17", "Анна"),
        captured_at_ms=1_795_687_261_000,
        duration_ms=20,
    )


@pytest.mark.parametrize(
    ("seq", "read"),
    [
        *[(0, 0), ("12", 12), ("007", 7), (None, None), ("x", None), (-1, None)],
        *[(2**31, None), (True, None), (1.5, None), ("٣", None), ("9" * 5000, None)],
    ],
)
def test_numbers_may_be_digits_and_what_is_no_number_is_none(seq: Any, read: int | None) -> None:
    (chunk,) = page(CHUNK | {"seq": seq}).chunks
    assert chunk.seq == read


@pytest.mark.parametrize(
    "change",
    [
        {"id": None},
        {"id": ""},
        {"id": "x" * 257},
        {"id": "a\nb"},
        {"id": "\ud800"},
        {"id": ["c1"]},
        {"content_b64": None},
        {"content_b64": ""},
        {"content_b64": "AQ"},
        {"content_b64": "AQ!AAgA="},
        {"content_b64": "ü" * 8},
        {"content_b64": base64.b64encode(b"x" * 1001).decode()},
        {"codec": "speex-ish"},
        {"codec": 5},
        {"codec": None},
        {"sample_rate": 0},
        {"sample_rate": 10**9},
        {"sample_rate": "16000"},
        {"sample_rate": True},
        {"channels": 9},
        {"channels": 1.0},
        {"sha256": "0" * 64},
        {"sha256": 5},
        {"participant": {"name": "nobody"}},
        {"participant": "Анна"},
        {"participant": {"id": ""}},
    ],
    ids=repr,
)
def test_what_is_no_chunk_is_counted(change: dict[str, Any]) -> None:
    read = page(CHUNK | change, CHUNK)
    assert ([chunk.chunk_id for chunk in read.chunks], read.invalid) == (["c1"], 1)


def test_the_largest_chunk_is_taken() -> None:
    largest = {"content_b64": base64.b64encode(b"x" * 1000).decode()}
    assert len(page(CHUNK | largest).chunks[0].body) == 1000


@pytest.mark.parametrize(
    ("cursor", "asked", "read"),
    [("2", "1", "2"), (2, "1", "2"), (None, "1", "1"), ("", "1", "1"), (None, None, None)],
)
def test_without_a_next_cursor_we_stay_where_we_are(
    cursor: Any, asked: str | None, read: str | None
) -> None:
    assert page(cursor=cursor, asked=asked).next_cursor == read


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"chunks": None},
        {"chunks": {}},
        {"chunks": [CHUNK] * (MAX_PAGE_CHUNKS + 1)},
        {"chunks": [], "next_cursor": "x" * 1025},
        {"chunks": [], "next_cursor": "a\0b"},
        {"chunks": [], "next_cursor": {}},
    ],
    ids=["nothing", "null", "object", "too many", "long cursor", "nul", "cursor object"],
)
def test_what_is_no_page_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(ConnectorInvalidResponse):
        read_page(document, asked=None, chunk_max_bytes=1000)


@pytest.mark.parametrize("state", [None, "", "requested", "happy", 5, ["active"]])
def test_a_state_that_is_not_of_the_contract_is_refused(state: Any) -> None:
    with pytest.raises(ConnectorInvalidResponse):
        session(state=state)


def test_reasons_belong_to_sessions_that_are_over() -> None:
    assert session(state="active", reason="lost").reason is None
    assert session(state="ended", reason="call_ended").reason is EndReason.CALL_ENDED
    assert session(state="failed", reason="moon phase").reason is EndReason.UNKNOWN
    assert session(state="failed").reason is EndReason.UNKNOWN


def test_odd_fields_of_a_session_are_left_out() -> None:
    odd = session(epoch=-1, session_id="a\nb", heartbeat_at="soon", audio=[], participants=[1, {}])
    assert (odd.epoch, odd.session_id, odd.heartbeat_at) == (0, None, None)
    assert (odd.audio, odd.participants) == ("pull", ())
    assert session(heartbeat_at="2026-11-26T10:00:00").heartbeat_at is None
    assert session(heartbeat_at="0001-01-01T00:00:00+14:00").heartbeat_at is None
    assert session(audio={"delivery": "push"}).audio == "push"
    at = session(heartbeat_at="2026-11-26T13:00:00+03:00").heartbeat_at
    assert at == datetime(2026, 11, 26, 10, tzinfo=UTC)


def test_a_crowd_is_cut_and_a_long_name_too() -> None:
    crowd = [{"id": str(at), "name": "n" * 500} for at in range(MAX_PARTICIPANTS + 5)]
    participants = session(participants=crowd).participants
    assert len(participants) == MAX_PARTICIPANTS
    assert len(participants[0].name or "") == 120


def test_a_gateway_that_names_no_state_has_the_one_it_was_asked_for() -> None:
    read = read_session({"participants": ["Анна"]}, default=SessionState.ACTIVE)
    assert (read.state, read.participants) == (SessionState.ACTIVE, ())


@settings(max_examples=50)
@given(st.dictionaries(st.sampled_from(FIELDS), JSON))
def test_no_json_object_does_anything_but_read_or_be_refused(document: dict[str, Any]) -> None:
    for read in (
        lambda: read_page(document, asked=None, chunk_max_bytes=9),
        lambda: read_session(document, default=None),
        lambda: read_health(document),
    ):
        try:
            read()
        except ConnectorInvalidResponse:
            continue


@settings(max_examples=50)
@given(st.lists(JSON | st.dictionaries(st.sampled_from(CHUNK_FIELDS), JSON), max_size=4))
def test_every_item_of_a_page_is_a_chunk_or_counted(items: list[Any]) -> None:
    read = page(*items)
    assert len(read.chunks) + read.invalid == len(items)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"5", b"\xff", b"[" * 10**6, b'{"n": ' + b"9" * 5000 + b"}"]
)
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(ConnectorInvalidResponse):
        Answer(200, body).document()


@pytest.mark.parametrize(
    ("header", "body", "pause_s"),
    [
        ("7", None, 7.0),
        ("0", 9, 0.0),
        (None, 2.5, 2.5),
        (None, -4, 0.0),
        (None, True, None),
        (None, "5", None),
        ("soon", None, None),
        ("Mon, 01 Jan 2024 00:00:00 +99999999999999", None, None),
        (None, None, None),
        (format_datetime(datetime(2000, 1, 1, tzinfo=UTC)), None, 0.0),
    ],
)
def test_a_pause_stands_in_the_header_or_the_body(
    header: str | None, body: object, pause_s: float | None
) -> None:
    error = json.dumps({"error": {"code": "x", "retry_after_sec": body}}).encode()
    assert Answer(503, error, header).retry_after_s == pause_s


def test_a_pause_may_be_a_date() -> None:
    until = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    pause_s = Answer(503, b"", until).retry_after_s
    assert pause_s is not None
    assert 50 < pause_s <= 60


@pytest.mark.parametrize("code", ["https://salutejazz.ru/a?psw=1", "Überlastet", 5, None, "x" * 65])
def test_a_code_that_is_none_is_not_repeated(code: object) -> None:
    answer = Answer(400, json.dumps({"error": {"code": code, "message": "psw=1"}}).encode())
    error = failure_of(answer, "join")
    assert error.details == {"operation": "join", "status": 400}
    assert "psw" not in str(error)
