"""The same real speech in every format, whole and in shuffled chunks with repeats."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import random
import signal
import wave
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from captions.words import edits, plain
from encoded_audio import Signal, cut, encode_as, pcm, resampled, wav

if TYPE_CHECKING:
    from collections.abc import Sequence

    from running_agents import Agent, Agents

SPEECH = Path(__file__).parents[1] / "data" / "libri_2412_0.wav"
RATE = 16_000
SHORT_S, LONG_S = 0.5, 3.0
WEBM_CLUSTER = b"\x1f\x43\xb6\x75"


def speech() -> Signal:
    with wave.open(str(SPEECH)) as file:
        assert (file.getframerate(), file.getnchannels()) == (RATE, 1)
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    return (samples / 32767)[np.newaxis]


@dataclass
class Sending:
    """One way to send the speech: as chunks, or as one file when no codec is named."""

    name: str
    chunks: Sequence[bytes]
    codec: str = ""
    fields: dict[str, Any] = field(default_factory=dict)
    silent_tracks: tuple[str, ...] = ()


def pieces(sound: Signal, seconds: float, rate: int = RATE) -> list[Signal]:
    step = int(seconds * rate)
    return [sound[:, at : at + step] for at in range(0, sound.shape[1], step)]


def slices(data: bytes) -> list[bytes]:
    """Cut one encoded stream of the speech into slices of half a second, at any byte."""
    count = 23
    return cut(data, *(len(data) * n // count for n in range(1, count)))


def whole_files(sound: Signal) -> list[Sending]:
    both = encode_as("flac", np.concatenate([np.zeros_like(sound), sound]), RATE)
    split = {"split_channels": "true", "channel_tracks": "quiet,loud"}
    return [
        *(
            Sending(f"whole-{kind}", [encode_as(kind, sound, RATE)])
            for kind in ("wav", "mp3", "ogg", "webm", "m4a")
        ),
        Sending("whole-flac-split", [both], fields=split, silent_tracks=("quiet",)),
    ]


def short_chunks(sound: Signal) -> list[Sending]:
    wide, narrow = resampled(sound, RATE, 48_000), resampled(sound, RATE, 8_000)
    stereo = np.concatenate([sound, np.zeros_like(sound)])
    split = {"channels": 2, "split_channels": True}
    live = encode_as("webm slices", sound, RATE)
    header = live[: live.index(WEBM_CLUSTER)]
    first, *others = slices(live)
    return [
        _raw("pcm-48k", wide, 48_000),
        _raw("pcm-8k", narrow, 8_000),
        _raw("pcm-split", stereo, RATE, silent_tracks=("main-1",), **split),
        Sending("wav-files", [wav(each, RATE) for each in pieces(sound, SHORT_S)], "wav"),
        Sending("ogg-slices", slices(encode_as("ogg", sound, RATE)), "ogg"),
        Sending("webm-slices", slices(live), "audio/webm;codecs=opus"),
        Sending("webm-headed-slices", [first, *(header + each for each in others)], "webm"),
    ]


def _raw(
    name: str, sound: Signal, rate: int, silent_tracks: tuple[str, ...] = (), **fields: Any
) -> Sending:
    chunks = [pcm(each) for each in pieces(sound, SHORT_S, rate)]
    return Sending(name, chunks, "pcm", {"sample_rate": rate, **fields}, silent_tracks)


def long_chunks(sound: Signal) -> list[Sending]:
    """Files of three seconds that stand alone."""
    return [
        Sending(
            f"{kind}-files", [encode_as(kind, each, RATE) for each in pieces(sound, LONG_S)], kind
        )
        for kind in ("mp3", "m4a", "flac")
    ]


async def record(agent: Agent, meeting_id: str, body: bytes, **query: str) -> None:
    status, content = await agent.call(
        "POST",
        f"/v1/meetings/{meeting_id}/recording",
        params={"finish": "true", **query},
        data=io.BytesIO(body),
        headers={"Content-Type": "application/octet-stream"},
    )
    assert status == 202, content


async def send(agent: Agent, sending: Sending) -> None:
    """Send a file at once, chunks in a random order and every fourth twice."""
    if not sending.codec:
        await record(agent, sending.name, sending.chunks[0], **sending.fields)
        return
    order = [*enumerate(sending.chunks), *list(enumerate(sending.chunks))[::4]]
    random.Random(sending.name).shuffle(order)
    for seq, chunk in order:
        await agent.send(sending.name, seq, chunk, codec=sending.codec, **sending.fields)
    await agent.call("POST", f"/v1/meetings/{sending.name}/finish")


async def test_every_format_whole_or_in_chunks_gives_the_words_of_the_plain_file(
    agents: Agents,
) -> None:
    """Within one word, for sixteen ways to send the same twelve seconds."""
    sound = speech()
    sendings = [*whole_files(sound), *short_chunks(sound), *long_chunks(sound)]
    (agent,) = agents.make_apart(["all"], WHISPER_LANGUAGE="en")
    await agent.start()
    async with asyncio.TaskGroup() as group:
        for each in sendings:
            group.create_task(send(agent, each))
    heard = {}
    for each in sendings:
        done = await agent.until_done(each.name, 240)
        assert done["failed_chunks"] == done["gaps"] == [], each.name
        segments = (await agent.get(f"/v1/meetings/{each.name}/segments"))["segments"]
        assert not [s for s in segments if s["track"] in each.silent_tracks], each.name
        heard[each.name] = plain(" ".join(segment["raw_text"] for segment in segments))
    expected = heard["whole-wav"]
    assert 30 < len(expected) < 42
    errors = {name: edits(expected, words) for name, words in heard.items()}
    assert max(errors.values()) <= 1, (errors, heard)
    assert await agent.stop() == 0


def children(pid: int) -> list[int]:
    """Return the children of a process, from the kernel's own table."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parent = (entry / "stat").read_text().rsplit(")", 1)[1].split()[1]
                found += [int(entry.name)] if int(parent) == pid else []
    return found


def decoding(agent: Agent) -> list[int]:
    """Return the processes that decode: grandchildren, by way of the one that forks them."""
    for child in children(agent.pid):
        with contextlib.suppress(OSError):
            if b"nursery" in Path(f"/proc/{child}/cmdline").read_bytes():
                return children(child)
    return []


async def test_files_that_hang_their_decoders_keep_no_other_meeting_waiting(
    agents: Agents,
) -> None:
    """Three decoders are frozen, one more than there are threads that recognise."""
    (agent,) = agents.make_apart(["all"], WHISPER_LANGUAGE="en", SHUTDOWN_GRACE_SEC="2")
    await agent.start()
    # Long enough to be caught while it is decoded.
    stuck = encode_as("ogg", np.tile(speech(), 10), RATE)
    frozen: set[int] = set()
    names = ("stuck-0", "stuck-1", "stuck-2")
    for name in names:
        await record(agent, name, stuck)
    async with asyncio.timeout(20):
        while len(frozen) < len(names):
            for pid in set(decoding(agent)) - frozen:
                os.kill(pid, signal.SIGSTOP)
                frozen.add(pid)
            await asyncio.sleep(0.001)
    await record(agent, "other", SPEECH.read_bytes())
    done = await agent.until_done("other", 20)
    assert "antecedents" in done["raw_transcript"]
    for name in names:
        assert (await agent.get(f"/v1/meetings/{name}"))["status"] == "processing"
    assert await agent.stop() == 0
