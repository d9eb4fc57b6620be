"""What the messages of clients say, and what is wrong with others."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interview_agent.domain.errors import AgentError
from interview_agent.web.live.protocol import (
    KINDS,
    AudioChunk,
    MeetingFinish,
    SessionStart,
    read_message,
)


def message(event_type: Any, **fields: Any) -> str:
    return json.dumps({"event_type": event_type, **fields})


DEEP = "[" * 20_000 + "]" * 20_000
MANY_KEYS = "{" + ",".join(f'"k{number}":1' for number in range(60_000)) + "}"

HOSTILE = {
    "not JSON": ("hello", "bad_json"),
    "array": ("[1]", "bad_json"),
    "number": ("12", "bad_json"),
    "text": ('"audio.chunk"', "bad_json"),
    "null": ("null", "bad_json"),
    "20k deep": (DEEP, "bad_json"),
    "deep inside a message": (message("ping", x=json.loads("[" * 40 + "]" * 40)), "bad_json"),
    "too many keys": (MANY_KEYS, "bad_json"),
    "NaN": ('{"event_type":"ping","x":NaN}', "bad_json"),
    "lone surrogate": ('{"event_type":"ping","x":"\\ud800"}', "bad_json"),
    "no kind": ("{}", "bad_event"),
    "unknown kind": (message("audio.chunks"), "bad_event"),
    "kind of another type": (message(["ping"]), "bad_event"),
    "an answer of ours": (message("transcript.update", meeting_id="m"), "bad_event"),
    "no meeting": (message("audio.chunk"), "no_meeting_id"),
    "empty meeting": (message("session.start", meeting_id=""), "no_meeting_id"),
    "number for a meeting": (message("session.start", meeting_id=7), "no_meeting_id"),
    "object for a meeting": (message("session.subscribe", meeting_id={}), "no_meeting_id"),
    "300 letters": (message("session.resume", meeting_id="m" * 300), "validation"),
    "way out": (message("meeting.finish", meeting_id="../x"), "validation"),
    "seq of letters": (message("audio.chunk", meeting_id="m", seq="one"), "validation"),
    "seq beyond 32 bits": (message("audio.chunk", meeting_id="m", seq=2**31), "validation"),
    "object for audio": (message("audio.chunk", meeting_id="m", content_b64={}), "validation"),
    "negative event": (message("session.subscribe", meeting_id="m", last_event=-1), "validation"),
    "text for an event": (
        message("session.resume", meeting_id="m", last_event="1"),
        "validation",
    ),
    "three channels": (message("session.start", meeting_id="m", channels=3), "validation"),
    "no rate": (message("session.start", meeting_id="m", sample_rate=0), "validation"),
    "language": (message("session.start", meeting_id="m", language="russian!"), "validation"),
    "list for tracks": (message("meeting.finish", meeting_id="m", tracks=[1]), "validation"),
}


@pytest.mark.parametrize("case", HOSTILE, ids=lambda case: case)
async def test_each_malformed_message_has_its_code(case: str) -> None:
    text, code = HOSTILE[case]
    with pytest.raises(AgentError) as refused:
        await read_message(text)
    assert refused.value.code == code
    assert len(refused.value.message) < 200


@given(st.text() | st.builds(json.dumps, st.recursive(st.integers() | st.text(), st.lists)))
async def test_no_text_breaks_the_reading(text: str) -> None:
    with pytest.raises(AgentError):
        await read_message(text)


@given(
    kind=st.sampled_from(KINDS),
    fields=st.dictionaries(
        st.sampled_from(["meeting_id", "seq", "track", "last_event", "channels", "tracks"]),
        st.none() | st.integers() | st.text() | st.booleans() | st.lists(st.integers()),
    ),
)
async def test_no_value_breaks_a_field(kind: str, fields: dict[str, Any]) -> None:
    outcome = kind
    try:
        await read_message(message(kind, **fields))
    except AgentError as refused:
        outcome = refused.code
    assert outcome in {kind, "no_meeting_id", "validation", "bad_json"}


async def test_a_message_of_the_reference_is_read_with_its_defaults() -> None:
    said = await read_message(
        message(
            "audio.chunk",
            schema_version="v1",
            meeting_id="m1",
            timestamp_ms=0,
            content_b64="YQ==",
            speaker_hint=None,
            idempotency_key=None,
        )
    )
    assert isinstance(said, AudioChunk)
    assert (said.seq, said.track, said.codec, said.sample_rate, said.channels) == (
        0,
        "main",
        "pcm",
        16_000,
        1,
    )


async def test_a_trace_id_of_another_type_is_passed_over() -> None:
    said = await read_message(message("audio.chunk", meeting_id="m1", trace_id=5))
    assert isinstance(said, AudioChunk)
    assert said.trace_id is None


async def test_a_session_starts_with_sensible_defaults_and_ignores_what_it_does_not_know() -> None:
    said = await read_message(message("session.start", meeting_id="m1", colour="red"))
    assert isinstance(said, SessionStart)
    assert (said.codec, said.partials, said.last_event) == ("pcm_s16le", True, None)


async def test_finish_names_the_ends_of_tracks() -> None:
    said = await read_message(
        message("meeting.finish", meeting_id="m1", tracks={"main": {"last_seq": 4}})
    )
    assert isinstance(said, MeetingFinish)
    assert said.tracks["main"].last_seq == 4
