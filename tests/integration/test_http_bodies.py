"""Bounds of JSON bodies: form, size, time, memory."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from yarl import URL

from http_stand_ins import (
    CHUNKS,
    JSON,
    KEY,
    LIMITS,
    RECORDING,
    WAV,
    Client,
    Doors,
    Readying,
    chunk,
    code_of,
    raw_exchange,
    served_api,
    stored_files,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
def doors() -> Doors:
    return Doors()


@pytest.fixture
def probe() -> Readying:
    return Readying()


@pytest_asyncio.fixture
async def client(doors: Doors, probe: Readying, tmp_path: Path) -> AsyncIterator[Client]:
    """A client of an API that has a folder but no database."""
    async with served_api(tmp_path / "chunks", doors, probe) as opened:
        yield opened


@pytest_asyncio.fixture
async def impatient(doors: Doors, probe: Readying, tmp_path: Path) -> AsyncIterator[Client]:
    """A client of the same API, which waits 0.6 s for a sender."""
    async with served_api(tmp_path / "impatient", doors, probe, patience_s=0.6) as opened:
        yield opened


@pytest.mark.parametrize(
    "meeting_id",
    ["..%2Fx", "%2e%2e%2f", "a%00b", "a%0d%0aX", "%2E%2E", "x" * 65, "~", "-a", "%D0%B0", "a%20b"],
)
async def test_an_id_that_is_no_name_touches_no_file(
    client: Client, doors: Doors, tmp_path: Path, meeting_id: str
) -> None:
    base = f"{client.address}/v1/meetings/{meeting_id}"
    answers = [
        await client.http.post(URL(f"{base}/chunks", encoded=True), json=chunk(), headers=KEY),
        await client.http.post(URL(f"{base}/recording", encoded=True), data=b"a", headers=WAV),
        await client.http.get(URL(base, encoded=True), headers=KEY),
    ]
    for answer in answers:
        assert await code_of(answer) in {(404, "not_found"), (422, "validation")}
    assert doors.accepted == []
    assert stored_files(tmp_path) == []


@pytest.mark.parametrize("seq", [-1, 2**31, 10**30, 1.5, "1", True, None, [], {}])
async def test_seq_is_an_integer_in_range_and_nothing_that_looks_like_one(
    client: Client, seq: Any
) -> None:
    answer = await client.http.post(CHUNKS, json=chunk(seq=seq), headers=KEY)
    assert await code_of(answer) == (422, "validation")
    assert (await answer.json())["detail"]["details"]["errors"][0]["loc"] == ["body", "seq"]


@pytest.mark.parametrize(
    "body", ["", "null", "[]", "5", '"x"', "{", '{"seq":NaN}', '{"seq":1}', '{"seq":1' + "," * 9]
)
async def test_a_chunk_that_is_not_the_documented_object_is_a_validation_error(
    client: Client, body: str
) -> None:
    answer = await client.http.post(CHUNKS, data=body.encode(), headers=JSON)
    assert await code_of(answer) == (422, "validation")
    assert (await answer.json())["detail"]["details"]["errors"]


@pytest.mark.parametrize(
    "address", ["a@b.c\r\nBcc: x@y.z", "a@b, c@d", "nobody", "<a@b>", "a@b\u2028", 5]
)
async def test_what_could_end_a_mail_header_is_no_recipient(
    client: Client, address: object
) -> None:
    start = {"recipients": ["good@example.com", address]}
    answer = await client.http.post("/v1/meetings/start", json=start, headers=KEY)
    assert await code_of(answer) == (422, "validation")


async def test_deep_json_is_refused_and_the_service_lives(client: Client) -> None:
    body = b'{"context":' + b"[" * 2000 + b"]" * 2000 + b"}"
    for path in ("/v1/meetings/start", CHUNKS):
        assert await code_of(await client.http.post(path, data=body, headers=JSON)) == (
            422,
            "validation",
        )
    assert (await client.http.get("/health")).status == 200


@pytest.mark.parametrize("text", ["abc", "YWJ-", "YW Jj", "data:audio/wav;base64,YWJj", "", "ж"])
async def test_audio_that_is_no_base64_or_empty_is_bad_audio(
    client: Client, doors: Doors, text: str
) -> None:
    answer = await client.http.post(CHUNKS, json={"seq": 1, "content_b64": text}, headers=KEY)
    assert await code_of(answer) == (400, "bad_audio")
    assert doors.accepted == []


@pytest.mark.parametrize(
    "field",
    [
        {"channels": 0},
        {"channels": 9},
        {"sample_rate": 3999},
        {"sample_rate": 10**12},
        {"split_channels": True, "channels": 2, "channel_tracks": "a,b"},
        {"split_channels": True, "channels": 2, "channel_tracks": ["a", "a"]},
        {"split_channels": True, "channels": 2, "channel_tracks": ["a"]},
        {"split_channels": True, "channels": 2, "channel_tracks": ["a", "../b"]},
        {"split_channels": True, "channels": 2, "track": "t" * 64},
    ],
)
async def test_sound_of_an_impossible_shape_is_a_validation_error(
    client: Client, doors: Doors, field: dict[str, Any]
) -> None:
    answer = await client.http.post(CHUNKS, json=chunk(**field), headers=KEY)
    assert await code_of(answer) == (422, "validation")
    assert doors.accepted == []


async def test_unknown_fields_are_ignored_and_nulls_mean_defaults(
    client: Client, doors: Doors
) -> None:
    said = chunk(track=None, speaker_hint=None, idempotency_key=None, tenant_id="b", state="done")
    assert (await client.http.post(CHUNKS, json=said, headers=KEY)).status == 200
    assert [one.track for one in doors.accepted] == ["main"]


async def test_a_chunk_of_exactly_the_limit_passes_and_one_byte_more_is_413(
    client: Client,
) -> None:
    assert (await client.http.post(CHUNKS, json=chunk(1000), headers=KEY)).status == 200
    answer = await client.http.post(CHUNKS, json=chunk(1001), headers=KEY)
    assert await code_of(answer) == (413, "too_large")


async def test_a_body_past_the_limit_is_413_with_and_without_a_length(client: Client) -> None:
    body = json.dumps(chunk(80_000)).encode()

    async def unannounced() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 8192):
            yield body[start : start + 8192]

    for data in (body, unannounced()):
        answer = await client.http.post(CHUNKS, data=data, headers=JSON)
        assert await code_of(answer) == (413, "too_large")


async def test_an_announced_giant_is_refused_before_a_byte_of_it_is_read(client: Client) -> None:
    head = (
        f"POST {CHUNKS} HTTP/1.1\r\nHost: a\r\nX-API-Key: alice\r\n"
        "Content-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n"
    )
    reader, writer = await client.connect()
    writer.write(head.encode())
    status = await asyncio.wait_for(reader.readline(), 10)
    writer.close()
    assert b" 413 " in status


@pytest.mark.parametrize(
    "declared",
    ["text/html", "application/x-www-form-urlencoded", "application/json; charset=utf-16", None],
)
async def test_json_must_be_declared_as_json_in_utf_8(client: Client, declared: str | None) -> None:
    headers = {**KEY, **({"Content-Type": declared} if declared else {})}
    skip = [] if declared else ["Content-Type"]
    answer = await client.http.post(
        CHUNKS, data=json.dumps(chunk()).encode(), headers=headers, skip_auto_headers=skip
    )
    assert await code_of(answer) == (415, "unsupported_media_type")


@pytest.mark.parametrize("encoding", ["gzip", "br", "gzip, gzip", "deflate"])
async def test_compressed_bodies_are_refused(client: Client, encoding: str) -> None:
    packed = gzip.compress(b"0" * 10_000_000)
    for path, headers in ((CHUNKS, JSON), (RECORDING, WAV)):
        answer = await client.http.post(
            path, data=packed, headers={**headers, "Content-Encoding": encoding}
        )
        assert await code_of(answer) == (415, "unsupported_media_type")


async def test_a_stalled_body_is_408_and_the_connection_ends(impatient: Client) -> None:
    head = f"POST {CHUNKS} HTTP/1.1\r\nHost: a\r\nX-API-Key: alice\r\n"
    body = "Content-Type: application/json\r\nContent-Length: 500\r\n\r\n{"
    answer = await raw_exchange(impatient, (head + body).encode())
    assert b" 408 " in answer.splitlines()[0]
    assert b'"request_timeout"' in answer


async def test_a_slow_sender_blocks_nobody(client: Client) -> None:
    _, writer = await client.connect()
    head = f"POST {CHUNKS} HTTP/1.1\r\nHost: a\r\nX-API-Key: alice\r\n"
    writer.write(f"{head}Content-Type: application/json\r\nContent-Length: 500\r\n\r\n".encode())
    answer = await asyncio.wait_for(client.http.post(CHUNKS, json=chunk(), headers=KEY), 10)
    assert answer.status == 200
    writer.close()


async def test_past_the_memory_budget_bodies_get_503_and_it_is_given_back(client: Client) -> None:
    budget = client.budget
    with budget.lease() as others:
        others.take(LIMITS.inflight_max_bytes - 10)
        answer = await client.http.post(CHUNKS, json=chunk(), headers=KEY)
        assert await code_of(answer) == (503, "backpressure")
        assert int(answer.headers["Retry-After"]) >= 1
    assert (await client.http.post(CHUNKS, json=chunk(), headers=KEY)).status == 200
    assert budget.held_bytes == 0
