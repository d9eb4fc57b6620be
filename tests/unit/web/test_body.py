"""Bounds of request bodies."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING, Any

import pytest

from interview_agent.domain.errors import (
    Backpressure,
    BadAudio,
    RequestTimeout,
    TooLarge,
    ValidationFailed,
)
from interview_agent.web.body import (
    MAX_JSON_COMMAS,
    MAX_JSON_DEPTH,
    ByteBudget,
    Pace,
    decode_audio,
    decode_base64,
    parse_json,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


def test_json_may_be_as_deep_as_the_limit_and_no_deeper() -> None:
    assert parse_json(nested(MAX_JSON_DEPTH))
    with pytest.raises(ValidationFailed):
        parse_json(nested(MAX_JSON_DEPTH + 1))


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 1_000_000,
        b'{"a":' * 20_000,
        b"[" + b'"x",' * 10 + b"[" * 2_000,
        b'["' + b'\\"[' * 100_000,
        b"]" * 5_000 + b"[" * 5_000,
    ],
    ids=["open", "objects", "after-strings", "unterminated", "closed-first"],
)
def test_hostile_nesting_is_refused_without_recursion(body: bytes) -> None:
    with pytest.raises(ValidationFailed):
        parse_json(body)


def test_brackets_inside_strings_are_not_nesting() -> None:
    text = '[[["' * 500 + "\\"
    assert parse_json(b'{"a":"' + text.replace("\\", "\\\\").replace('"', '\\"').encode() + b'"}')


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nope",
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":-Infinity}',
        b'{"a":1e999}',
        b'{"a":"\\ud800"}',
        b'{"\\udfff":1}',
        b'{"a":["\\u0000"]}',
        b'{"a":"\x00"}',
        b"\xff\xfe",
        b'{"a":' + b"9" * 5000 + b"}",
        b"[" + b"1," * (MAX_JSON_COMMAS + 1) + b"1]",
    ],
)
def test_what_is_not_strict_storable_json_is_a_validation_error(body: bytes) -> None:
    with pytest.raises(ValidationFailed) as refused:
        parse_json(body)
    assert refused.value.details["errors"]


def test_json_with_cyrillic_escapes_is_read() -> None:
    assert parse_json('{"a":"\\u0436","b":"ё","c":1.5}'.encode()) == {"a": "ж", "b": "ё", "c": 1.5}


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 57, 786_431, 786_432, 786_433])
def test_base64_of_any_length_is_decoded(size: int) -> None:
    body = bytes(index % 251 for index in range(size))
    assert decode_base64(base64.b64encode(body).decode()) == body


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "abc",
        "ab==cd==",
        "ab=c",
        "====",
        "=abc",
        "YWJj\n",
        "YW Jj",
        " YWJj",
        "YWJ-",
        "YW_j",
        "data:audio/wav;base64,YWJj",
        "аудио",
        "YWJjYWJ\0",
    ],
)
def test_anything_but_standard_base64_is_bad_audio(text: str) -> None:
    with pytest.raises(BadAudio):
        decode_base64(text)


async def test_a_chunk_may_be_exactly_as_large_as_the_limit() -> None:
    for size in (998, 999, 1000):
        text = base64.b64encode(b"x" * size).decode()
        assert len(await decode_audio(text, max_bytes=size)) == size
        with pytest.raises(TooLarge):
            await decode_audio(text, max_bytes=size - 1)


def test_the_budget_bounds_all_requests_together_and_is_given_back() -> None:
    budget = ByteBudget(100)
    with budget.lease() as first, budget.lease() as second:
        first.take(60)
        second.take(40)
        with pytest.raises(Backpressure) as refused:
            second.take(1)
        assert refused.value.retry_after_s == 1
        with pytest.raises(Backpressure):
            first.expect(1)
    assert budget.held_bytes == 0
    with budget.lease() as third:
        third.take(100)


async def test_silence_ends_the_patience_with_a_sender() -> None:
    async def silence() -> bytes:
        await asyncio.Event().wait()
        return b""

    with pytest.raises(RequestTimeout):
        await Pace(0.02).wait_for(silence)


async def test_drips_end_the_patience_too_although_each_comes_in_time() -> None:
    async def drips() -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(0.02)
            yield b"x"

    source, pace, got = drips(), Pace(0.1), bytearray()

    async def listen_for_ever() -> None:
        while True:
            got.extend(await pace.wait_for(lambda: anext(source)))

    with pytest.raises(RequestTimeout):
        await listen_for_ever()
    assert 1 <= len(got) <= 10


async def test_a_steady_sender_may_take_longer_than_the_silence_limit() -> None:
    async def steady() -> Any:
        await asyncio.sleep(0.02)
        return b"x" * 4096

    pace = Pace(0.05)
    for _ in range(6):
        assert await pace.wait_for(steady)
