"""The decoder against hostile input, dying children and impatient callers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import struct
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from decoder_driver import AUTO, decode, feed
from encoded_audio import ENCODERS, encode_as, tones, wav
from interview_agent.adapters.decoder.child_decoder import ChildDecoder
from interview_agent.domain.errors import Backpressure, BadAudio, StorageError, SttError
from interview_agent.ports.audio import SAMPLE_RATE, Samples
from made_speech import write_only

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

QUICKLY_S = 10.0
MIB = 1024 * 1024
TONE = tones(4.0, 48_000, 440.0, 900.0)


@pytest.fixture
async def decoder() -> AsyncIterator[ChildDecoder]:
    decoder = ChildDecoder(max_decoded_s=60.0)
    yield decoder
    await decoder.aclose()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield listener


async def refusal(decoder: ChildDecoder, data: bytes, **wanted: Any) -> str:
    """Decode what must be refused, and quickly; return the reason."""
    began = time.monotonic()
    with pytest.raises(BadAudio) as caught:
        await decode(decoder, [data], **wanted)
    assert time.monotonic() - began < QUICKLY_S
    return str(caught.value.details["reason"])


async def drain(blocks: AsyncIterator[Samples]) -> tuple[int, str | None]:
    """Return how many samples came, and the reason if they ended in a refusal."""
    heard = 0
    try:
        async for block in blocks:
            heard += len(block)
    except BadAudio as refused:
        return heard, refused.details["reason"]
    return heard, None


def runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


async def ended(pid: int) -> bool:
    """Wait up to five seconds for the end of a process; whoever inherits it may reap it later."""
    for _ in range(100):
        if not runs(pid):
            return True
        await asyncio.sleep(0.05)
    return False


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def children_of(pid: int) -> list[int]:
    return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def decoding_child(decoder: ChildDecoder) -> int:
    """The pid of the only child of the only nursery."""
    nursery = decoder._nurse._nursery
    assert nursery is not None
    (child,) = children_of(nursery._process.pid)
    return child


def peak_bytes(pid: int) -> int:
    (line,) = (
        line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if "VmHWM" in line
    )
    return int(line.split()[1]) * 1024


def circumstances(pid: int) -> tuple[dict[str, str], str, bytes, Path]:
    """Status fields, limits, environment and working directory of a process."""
    proc = Path(f"/proc/{pid}")
    lines = (proc / "status").read_text().splitlines()
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    environment = (proc / "environ").read_bytes()
    return status, (proc / "limits").read_text(), environment, (proc / "cwd").readlink()


def box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", 8 + len(body)) + kind + body


def with_external_reference(m4a: bytes, path: bytes) -> bytes:
    """An m4a whose samples are said to be in another file (QuickTime alias in `dref`)."""
    alias = bytes(4 + 10) + bytes([3]) + b"vol".ljust(27, b"\0") + bytes(12)
    alias += bytes([4]) + b"file".ljust(63, b"\0") + bytes(16) + bytes(4) + bytes(16)
    path += b"\0" * (len(path) % 2)
    alias += struct.pack(">HH", 2, len(path)) + path + struct.pack(">HH", 0xFFFF, 0)
    old = m4a[m4a.index(b"dref") - 4 :][: struct.unpack(">I", m4a[m4a.index(b"dref") - 4 :][:4])[0]]
    new = box(b"dref", struct.pack(">II", 0, 1) + box(b"alis", alias))
    grown = bytearray(m4a)
    for parent in (b"moov", b"trak", b"mdia", b"minf", b"dinf"):
        at = m4a.index(parent) - 4
        size = struct.unpack(">I", m4a[at : at + 4])[0] + len(new) - len(old)
        grown[at : at + 4] = struct.pack(">I", size)
    return bytes(grown).replace(old, new)


async def test_texts_that_name_other_files_and_addresses_open_nothing(
    decoder: ChildDecoder, listener: socket.socket, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.wav"
    secret.write_bytes(wav(tones(1.0, 16_000, 440.0), 16_000))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/x.wav"
    texts = [
        f"ffconcat version 1.0\nfile '{secret}'\n",
        f"ffconcat version 1.0\nfile '{url}'\n",
        f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{secret}\n#EXTINF:1,\n{url}\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
        f'<?xml version="1.0"?><MPD><Period><BaseURL>{url}</BaseURL></Period></MPD>',
        f"[playlist]\nFile1={url}\n",
    ]
    for text in texts:
        assert await refusal(decoder, text.encode()) == "undecodable"
        # The same text behind bytes that pass for the beginning of an mp3.
        disguised = b"ID3\x04\x00\x00\x00\x00\x00\x00" + text.encode()
        assert await refusal(decoder, disguised) == "undecodable"
    with pytest.raises(BlockingIOError):
        listener.accept()


async def test_an_mp4_cannot_borrow_samples_from_another_file(
    decoder: ChildDecoder, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.write_bytes(encode_as("m4a", TONE))
    borrowing = with_external_reference(encode_as("m4a", TONE), os.fsencode(other))
    assert await refusal(decoder, borrowing) == "undecodable"


@pytest.mark.parametrize(
    "data",
    [
        b"x",
        b"not audio at all " * 100,
        np.random.default_rng(7).bytes(200_000),
        b"RIFF\x00\x00\x00\x00WAVE",
        b"fLaC" + bytes(60),
        b"\x1a\x45\xdf\xa3" + bytes(60),
        b"OggS\x00\x02" + bytes(60),
        b"\x00\x00\x00\x18ftypM4A " + bytes(60),
        wav(TONE, 48_000)[:44],
        encode_as("m4a", TONE)[:-2000],
        b"wvpk" + bytes(1000),
    ],
    ids=lambda data: repr(data[:12]),
)
async def test_garbage_and_stumps_are_undecodable(decoder: ChildDecoder, data: bytes) -> None:
    assert await refusal(decoder, data) == "undecodable"


@pytest.mark.parametrize(("rate", "channels"), [(1, 1), (10**9, 1), (16_000, 255)])
async def test_absurd_rates_and_channel_counts_are_refused(
    decoder: ChildDecoder, rate: int, channels: int
) -> None:
    head = struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", 0xFFFF_FFFF, b"WAVE", b"fmt ", 16, 1, channels, rate),
        *(min(2 * rate * channels, 0xFFFF_FFFF), 2 * channels, 16, b"data", 0xFFFF_FFFF),
    )
    assert await refusal(decoder, head + bytes(100_000)) in {"unsupported", "undecodable"}


async def test_an_hour_in_a_few_bytes_is_cut_off_while_it_is_decoded(
    decoder: ChildDecoder,
) -> None:
    bomb = encode_as("flac", np.zeros((1, 3600 * 8000)), 8000)
    assert len(bomb) < 1_000_000
    stream = await decoder.open(**AUTO)
    with tempfile.TemporaryFile() as file:
        file.write(bomb)
        file.flush()
        blocks = stream.feed(file)
        first = await anext(blocks)
        await asyncio.sleep(0.3)
        # The child stands still at its reader's pace, half-way through its cap.
        peak = peak_bytes(decoding_child(decoder))
        heard, reason = await drain(blocks)
    assert reason == "too_long"
    assert len(first) + heard == 60 * SAMPLE_RATE
    assert 0 < peak < 100 * MIB


async def test_raw_samples_are_cut_off_as_well(decoder: ChildDecoder) -> None:
    hour = bytes(61 * 2 * SAMPLE_RATE)
    assert await refusal(decoder, hour, codec="pcm", sample_rate=16_000, channels=1) == "too_long"
    assert await refusal(decoder, hour, codec="pcm", sample_rate=8_000, channels=1) == "too_long"


async def test_a_child_waits_for_its_reader() -> None:
    async with contextlib.aclosing(ChildDecoder()) as decoder:
        long = encode_as("flac", np.zeros((1, 600 * 8000)), 8000)
        stream = await decoder.open(**AUTO)
        with tempfile.TemporaryFile() as file:
            file.write(long)
            file.flush()
            blocks = stream.feed(file)
            first = await anext(blocks)
            await asyncio.sleep(0.3)
            assert peak_bytes(decoding_child(decoder)) < 100 * MIB
            heard = len(first) + sum([len(block) async for block in blocks])
        heard += sum([len(block) async for block in stream.finish()])
        assert heard == 600 * SAMPLE_RATE


async def test_an_index_that_asks_for_too_much_memory_ends_the_child_alone() -> None:
    async with contextlib.aclosing(ChildDecoder(child_memory_bytes=200 * MIB)) as decoder:
        m4a = bytearray(encode_as("m4a", TONE))
        at = m4a.index(b"stsz")
        m4a[at + 12 : at + 16] = struct.pack(">I", 60_000_000)
        assert await refusal(decoder, bytes(m4a)) == "out_of_memory"
        assert len(await decode(decoder, [encode_as("m4a", TONE)])) >= 4 * SAMPLE_RATE


async def test_a_child_that_dies_in_mid_stream_is_a_crash_and_the_next_stream_works(
    decoder: ChildDecoder,
) -> None:
    data = encode_as("webm slices", TONE)
    stream = await decoder.open(**AUTO)
    assert await feed(stream, data[: len(data) // 2])
    os.kill(decoding_child(decoder), signal.SIGKILL)
    for _ in range(2):
        with pytest.raises(BadAudio) as caught:
            await feed(stream, data[len(data) // 2 :])
        assert caught.value.details["reason"] == "crashed"
    assert len(await decode(decoder, [data])) == 4 * SAMPLE_RATE


async def test_when_all_children_die_together_no_audio_is_blamed_and_the_next_stream_works(
    decoder: ChildDecoder,
) -> None:
    data = encode_as("webm slices", TONE)
    stream = await decoder.open(**AUTO)
    assert await feed(stream, data[: len(data) // 2])
    nursery = decoder._nurse._nursery
    assert nursery is not None
    child = decoding_child(decoder)
    nursery._process.kill()
    with pytest.raises(SttError):
        await feed(stream, data[len(data) // 2 :])
    assert await ended(child)
    assert len(await decode(decoder, [data])) == 4 * SAMPLE_RATE


async def test_an_interrupt_meant_for_the_service_does_not_reach_the_children(
    decoder: ChildDecoder,
) -> None:
    data = encode_as("webm slices", TONE)
    stream = await decoder.open(**AUTO)
    assert await feed(stream, data[: len(data) // 2])
    nursery = decoder._nurse._nursery
    assert nursery is not None
    for sent in (signal.SIGINT, signal.SIGTERM):
        os.kill(decoding_child(decoder), sent)
        nursery._process.send_signal(sent)
    assert await feed(stream, data[len(data) // 2 :])
    await stream.aclose()


async def test_a_child_that_hangs_is_killed_at_its_deadline() -> None:
    async with contextlib.aclosing(ChildDecoder(answer_timeout_s=1.0)) as decoder:
        stream = await decoder.open(**AUTO)
        data = encode_as("webm slices", TONE)
        assert await feed(stream, data[: len(data) // 2])
        pid = decoding_child(decoder)
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(BadAudio) as caught:
            await feed(stream, data[len(data) // 2 :])
        assert caught.value.details["reason"] == "timeout"
        assert await ended(pid)


async def test_past_the_bound_a_stream_waits_and_is_then_turned_away() -> None:
    async with contextlib.aclosing(ChildDecoder(max_children=1, answer_timeout_s=0.5)) as decoder:
        data = wav(tones(1.0, 16_000, 440.0), 16_000)
        first = await decoder.open(**AUTO)
        await feed(first, data)
        with pytest.raises(Backpressure):
            await decode(decoder, [data])
        waiting = asyncio.create_task(decode(decoder, [data]))
        await asyncio.sleep(0.05)
        await first.aclose()
        assert len(await waiting) == SAMPLE_RATE


async def test_an_abandoned_iteration_ends_the_stream_and_frees_its_place() -> None:
    async with contextlib.aclosing(ChildDecoder(max_children=1, answer_timeout_s=5.0)) as decoder:
        data = wav(tones(30.0, 16_000, 440.0), 16_000)
        stream = await decoder.open(**AUTO)
        with tempfile.TemporaryFile() as file:
            file.write(data)
            file.flush()
            assert len(await anext(stream.feed(file))) == SAMPLE_RATE
        with pytest.raises(BadAudio):
            await feed(stream, data)
        await stream.aclose()
        assert len(await decode(decoder, [data])) == 30 * SAMPLE_RATE


async def test_mutated_files_end_in_samples_or_a_refusal(decoder: ChildDecoder) -> None:
    random = np.random.default_rng(20)
    outcomes = set()
    for kind in ENCODERS:
        sound = encode_as(kind, TONE[:, :48_000])
        for _ in range(12):
            data = bytearray(sound)
            for span, hits in ((len(data), 40), (400, 4)):
                for at in random.integers(0, min(span, len(data)), hits):
                    data[at] = random.integers(0, 256)
            began = time.monotonic()
            try:
                await decode(decoder, [bytes(data)])
                outcomes.add("heard")
            except BadAudio as refused:
                outcomes.add(refused.details["reason"])
            assert time.monotonic() - began < QUICKLY_S
    assert {"heard", "undecodable"} <= outcomes <= {"heard", "undecodable", "unsupported"}


async def test_nothing_is_left_behind() -> None:
    files, children = open_files(), children_of(os.getpid())
    decoder = ChildDecoder()
    data = wav(tones(1.0, 16_000, 440.0), 16_000)
    for number in range(10):
        stream = await decoder.open(**AUTO)
        with contextlib.suppress(BadAudio):
            await feed(stream, data if number % 3 else b"garbage" * 100)
        if number % 2:
            await stream.aclose()
    await decoder.aclose()
    await decoder.aclose()
    assert children_of(os.getpid()) == children
    assert open_files() == files


async def test_children_have_no_network_no_environment_and_no_way_up(
    decoder: ChildDecoder,
) -> None:
    stream = await decoder.open(**AUTO)
    await feed(stream, wav(tones(1.0, 16_000, 440.0), 16_000))
    pid = decoding_child(decoder)
    status, limits, environment, folder = circumstances(pid)
    assert status["NoNewPrivs"] == "1"
    assert environment == b""
    assert folder == Path("/")
    assert f"Max address space         {512 * MIB}" in limits
    assert "Max file size             0" in limits
    assert "Max core file size        0" in limits
    if os.geteuid() == 0:
        assert "0" not in status["Uid"].split()
    await stream.aclose()


@pytest.mark.parametrize("kind", [*ENCODERS, "pcm"])
async def test_a_file_that_cannot_be_read_now_says_nothing_of_its_audio(
    decoder: ChildDecoder, kind: str
) -> None:
    """In the middle of a stream as at its beginning."""
    raw = {"codec": "pcm", "sample_rate": SAMPLE_RATE, "channels": 1, "channel": None}
    body = bytes(64_000) if kind == "pcm" else encode_as(kind, TONE)
    for readable in (b"", body[: len(body) // 2]):
        stream = await decoder.open(**(raw if kind == "pcm" else AUTO))
        if readable:
            await feed(stream, readable)
        with write_only(body[len(readable) :]) as file, pytest.raises(StorageError):
            await drain(stream.feed(file))
        await stream.aclose()
