"""Audio that is hostile, broken or gone, and a decoder that is killed."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from fault_servers import tree

if TYPE_CHECKING:
    from running_agents import Agents

SOUNDS = Path(__file__).resolve().parents[1] / "data"
SPEECH = SOUNDS / "libri_2412_0.wav"
OTHER_SPEECH = SOUNDS / "0870_sense.wav"
HOSTILE = {
    "list-of-files": b"ffconcat version 1.0\nfile '/etc/passwd'\n",
    "address": b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
    "endless": b"RIFF\xff\xff\xff\xffWAVEfmt " + bytes(40),
    "backwards": SPEECH.read_bytes()[::-1],
}


def flip_a_bit(file: Path) -> None:
    body = bytearray(file.read_bytes())
    body[len(body) // 2] ^= 1
    file.write_bytes(body)


DAMAGE = {
    1: Path.unlink,
    2: flip_a_bit,
    3: lambda file: os.truncate(file, file.stat().st_size - 2),
}
"""What happens to stored chunks before they are heard, by their number."""


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


async def test_bad_chunks_fail_with_a_reason_and_block_no_neighbour(agents: Agents) -> None:
    """F21, F26 to F28: hostile or vanished audio, and decoders killed from outside."""
    (agent,) = agents.make_apart(["all"], WHISPER_LANGUAGE="en", MEETING_QUIET_SEC="120")
    await agent.start()
    for track, body in HOSTILE.items():
        await agent.send("m", 0, body, codec="wav", track=track)
    for seq in (4, 3, 2, 1, 0):
        await agent.send("m", seq, (OTHER_SPEECH if seq else SPEECH).read_bytes(), codec="wav")
        (file,) = agents.blob_dir.glob(f"meetings/m/main/{seq:010d}-*")
        if seq in DAMAGE:
            DAMAGE[seq](file)
    await agent.call("POST", "/v1/meetings/m/finish")
    kills = 0
    while kills < 2:
        for pid in tree(agent.pid)[1:]:
            if "nursery" in command_line(pid):
                os.kill(pid, signal.SIGKILL)
                kills += 1
        await asyncio.sleep(0.05)
    done = await agent.until_done("m", 90)
    failed = {(each["track"], each["seq"]): each["reason"] for each in done["failed_chunks"]}
    damaged = {seq: failed.pop(("main", seq)) for seq in DAMAGE}
    assert damaged == {1: "blob_missing", 2: "blob_corrupt", 3: "blob_corrupt"}
    assert failed.keys() == {(track, 0) for track in HOSTILE}
    assert all(failed.values())
    segments = (await agent.get("/v1/meetings/m/segments"))["segments"]
    assert {each["track"] for each in segments} == {"main"}
    for seq, word in ((0, "antecedents"), (4, "dashwood")):
        heard = [each["raw_text"].lower() for each in segments if each["first_seq"] == seq]
        assert " ".join(heard).count(word) == 1
    assert await agent.stop() == 0
