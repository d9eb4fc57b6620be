"""Bounds of recordings: what is refused leaves no file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from aiohttp import FormData

from http_stand_ins import (
    KEY,
    RECORDING,
    WAV,
    Client,
    Doors,
    Readying,
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


async def test_a_stalled_recording_is_408_and_leaves_no_file(
    impatient: Client, tmp_path: Path
) -> None:
    head = f"POST {RECORDING} HTTP/1.1\r\nHost: a\r\nX-API-Key: alice\r\n"
    body = "Content-Type: audio/wav\r\nContent-Length: 500\r\n\r\nRIFF"
    answer = await raw_exchange(impatient, (head + body).encode())
    assert b" 408 " in answer.splitlines()[0]
    assert stored_files(tmp_path) == []


async def test_a_recording_past_the_limit_is_413_and_leaves_no_file(
    client: Client, doors: Doors, tmp_path: Path
) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 20_000

    for data in (endless(), b"x" * 300_001):
        answer = await client.http.post(RECORDING, data=data, headers=WAV)
        assert await code_of(answer) == (413, "too_large")
    assert doors.accepted == []
    assert stored_files(tmp_path) == []


async def test_a_recording_of_exactly_the_limit_passes(client: Client) -> None:
    answer = await client.http.post(RECORDING, data=b"x" * 300_000, headers=WAV)
    assert answer.status == 202
    assert (await answer.json())["size_bytes"] == 300_000


@pytest.mark.parametrize(
    ("body", "declared", "status"),
    [
        (b"x", "text/plain", 415),
        (b"x", "application/x-www-form-urlencoded", 415),
        (b"", "audio/wav", 400),
        (b"x", "multipart/form-data", 415),
        (b"x", "multipart/form-data; boundary=", 422),
        (b"x", "multipart/form-data; xboundary=b", 415),
        (b"x", "multipart/form-data; boundary=" + "b" * 71, 415),
        (b"x", "multipart/form-data; boundary=b", 422),
        (b"--b\r\n\r\nno file\r\n--b--\r\n", "multipart/form-data; boundary=b", 422),
        (b"--b--\r\n", "multipart/form-data; boundary=b", 422),
        (
            (
                b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nRIFF\r\n'
                b'--b\r\nContent-Disposition: form-data; name="seq"\r\n\r\n7\r\n--b--\r\n'
            ),
            "multipart/form-data; boundary=b",
            422,
        ),
        (
            (
                b'--b\r\nContent-Disposition: form-data; name="seq"\r\n\r\nx\r\n'
                b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nRIFF\r\n'
                b"--b--\r\n"
            ),
            "multipart/form-data; boundary=b",
            422,
        ),
        (
            (
                b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n'
                b"Content-Transfer-Encoding: base64\r\n\r\nUklGRg==\r\n--b--\r\n"
            ),
            "multipart/form-data; boundary=b",
            415,
        ),
        (
            b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\ncut off',
            "multipart/form-data; boundary=b",
            422,
        ),
        (
            b'--b\r\nContent-Disposition: form-data; name="codec"\r\n\r\n' + b"x" * 5000,
            "multipart/form-data; boundary=b",
            413,
        ),
    ],
)
async def test_what_is_no_recording_is_refused_and_leaves_no_file(
    client: Client, doors: Doors, tmp_path: Path, body: bytes, declared: str, status: int
) -> None:
    headers = {**KEY, "Content-Type": declared}
    answer = await client.http.post(RECORDING, data=body, headers=headers)
    assert (await code_of(answer))[0] == status
    assert doors.accepted == []
    assert stored_files(tmp_path) == []


async def test_a_number_of_channels_is_a_number_from_1_or_left_out(
    client: Client, doors: Doors
) -> None:
    for channels, status in (("0", 422), ("9", 422), ("two", 422), ("", 202)):
        url = f"{RECORDING}?channels={channels}"
        answer = await client.http.post(url, data=b"RIFF", headers=WAV)
        assert answer.status == status, channels
    assert [one.channels for one in doors.accepted] == [1]


async def test_fields_of_a_form_win_over_the_query(client: Client, doors: Doors) -> None:
    form = FormData()
    form.add_field("seq", "7")
    form.add_field("file", b"RIFF", filename="a.wav")
    answer = await client.http.post(f"{RECORDING}?seq=3&track=left", data=form, headers=KEY)
    assert answer.status == 202
    assert [(one.seq, one.track) for one in doors.accepted] == [(7, "left")]


async def test_a_broken_chunk_size_ends_the_request(client: Client, doors: Doors) -> None:
    head = f"POST {RECORDING} HTTP/1.1\r\nHost: a\r\nX-API-Key: alice\r\n"
    body = "Content-Type: audio/wav\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nRIFF\r\n0\r\n\r\n"
    answer = await raw_exchange(client, (head + body).encode())
    assert b" 400 " in answer.splitlines()[0]
    assert doors.accepted == []
