"""`interview-agent live`, as people run it: in a shell, against a running service."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import re
import signal
import sys
import time
import wave
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from captions.words import edits
from cutting_proxy import CuttingProxy
from forged_tokens import SecretSigner, claims, token
from running_agents import KEY

if TYPE_CHECKING:
    from running_agents import Agent, Agents

ROOT = Path(__file__).resolve().parents[2]
SPEECH = ROOT / "tests" / "data" / "libri_2412_0.wav"
REFERENCE = (
    "if the reader will excuse me i will say nothing of my antecedents nor of the circumstances"
    " which led me to leave my native country the narrative would be tedious to him and painful to"
    " myself"
)
SILENCE = b"\0" * 32_000
_LINE = re.compile(r"\[\d\d:\d\d\.\d\] (?P<speaker>[^:]+): (?P<text>.+)")


Live = Callable[..., Awaitable[asyncio.subprocess.Process]]


@pytest_asyncio.fixture
async def live() -> AsyncIterator[Live]:
    """Starts the command at an address, with the key of the tests; none survives the test."""
    processes: list[asyncio.subprocess.Process] = []

    async def start(
        address: str, *arguments: str, stdout: int = asyncio.subprocess.PIPE, **environment: str
    ) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "interview_agent", "live", "--url", address, *arguments),
            env={"PATH": os.environ["PATH"], "API_KEY": KEY, **environment},
            stdin=asyncio.subprocess.PIPE,
            stdout=stdout,
            stderr=asyncio.subprocess.PIPE,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def ended(process: asyncio.subprocess.Process, timeout_s: float = 60) -> tuple[str, str]:
    """Close its input and return what it printed, and its remarks."""
    async with asyncio.timeout(timeout_s):
        out, remarks = await process.communicate(b"")
    return out.decode(), remarks.decode()


async def until_remark(process: asyncio.subprocess.Process, text: str) -> None:
    """Wait until it says something."""
    assert process.stderr is not None
    async with asyncio.timeout(30):
        while text not in (line := (await process.stderr.readline()).decode()):
            assert line, "it ended"


def transcript(printed: str) -> list[tuple[str, str]]:
    """Return speaker and text of the lines after the captions."""
    _, _, last = printed.rstrip().rpartition("\n\n")
    found = [_LINE.fullmatch(line) for line in last.splitlines()]
    return [(line["speaker"], line["text"]) for line in found if line]


async def mocked(agents: Agents) -> Agent:
    (agent,) = agents.make_apart(["all"], STT_PROVIDER="mock", MEETING_QUIET_SEC="30")
    await agent.start()
    return agent


@pytest.mark.slow
async def test_a_file_becomes_a_transcript_though_the_connection_breaks(
    agents: Agents, live: Live
) -> None:
    (agent,) = agents.make_apart(["all"])
    await agent.start()
    async with CuttingProxy(agent.address) as proxy:
        process = await live(
            proxy.address, str(SPEECH), "--language", "en", "--speaker", "Reader", "--meeting", "m"
        )
        await until_remark(process, "listening")
        for count in (1, 2, 3):
            async with asyncio.timeout(30):
                while proxy.connections < count:
                    await asyncio.sleep(0.02)
            await asyncio.sleep(2)
            proxy.cut()
        out, remarks = await ended(process)
    assert process.returncode == 0, remarks
    assert remarks.count("the connection broke") + remarks.count("closed the connection") >= 3
    lines = transcript(out)
    heard = re.sub(r"[^\w\s]", "", " ".join(text for _, text in lines).lower()).split()
    assert edits(REFERENCE.split(), heard) <= 6
    assert {speaker for speaker, _ in lines} == {"Reader"}
    chunks = (await agent.get("/v1/meetings/m/chunks"))["tracks"][0]["chunks"]
    with wave.open(str(SPEECH)) as file:
        assert sum(each["size_bytes"] for each in chunks) == file.getnframes() * 2


async def test_each_channel_becomes_a_track(agents: Agents, live: Live, tmp_path: Path) -> None:
    agent = await mocked(agents)
    with wave.open(str(tmp_path / "two.wav"), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(SILENCE)
    process = await live(
        agent.address, str(tmp_path / "two.wav"), "--split-channels", "--meeting", "m"
    )
    out, remarks = await ended(process)
    assert process.returncode == 0, remarks
    tracks = (await agent.get("/v1/meetings/m/chunks"))["tracks"]
    assert [each["track"] for each in tracks] == ["main-0", "main-1"]
    assert {speaker for speaker, _ in transcript(out)} == {"main-0", "main-1"}


async def test_the_end_of_standard_input_ends_the_meeting(agents: Agents, live: Live) -> None:
    agent = await mocked(agents)
    process = await live(agent.address, "-", "--track", "anna", "--meeting", "m")
    assert process.stdin is not None
    process.stdin.write(SILENCE)
    out, remarks = await ended(process)
    assert process.returncode == 0, remarks
    assert transcript(out)
    assert (await agent.get("/v1/meetings/m"))["status"] == "done"


async def test_an_interrupt_ends_the_sound_and_the_transcript_is_printed(
    agents: Agents, live: Live
) -> None:
    agent = await mocked(agents)
    process = await live(agent.address, "-", "--meeting", "m")
    assert process.stdin is not None
    await until_remark(process, "listening")
    process.stdin.write(SILENCE)
    await agent.until("m", lambda found: found["chunks"]["done"] > 0)
    process.send_signal(signal.SIGINT)
    assert process.stdout is not None
    async with asyncio.timeout(30):
        out = (await process.stdout.read()).decode()
        assert await process.wait() == 0
    assert transcript(out)


async def test_a_second_interrupt_leaves_at_once(agents: Agents, live: Live) -> None:
    agent = await mocked(agents)
    process = await live(agent.address, "-", "--meeting", "m")
    await until_remark(process, "listening")
    agent.signal(signal.SIGSTOP)
    try:
        process.send_signal(signal.SIGINT)
        await until_remark(process, "Ctrl-C again")
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(5):
            assert await process.wait() == 130
    finally:
        agent.signal(signal.SIGCONT)


async def test_a_meeting_may_be_left_open_for_others(agents: Agents, live: Live) -> None:
    agent = await mocked(agents)
    process = await live(agent.address, "-", "--no-finish", "--meeting", "m")
    assert process.stdin is not None
    process.stdin.write(SILENCE)
    _, remarks = await ended(process)
    assert process.returncode == 0
    assert "stays open" in remarks
    assert (await agent.get("/v1/meetings/m"))["status"] != "done"


@pytest.mark.parametrize(
    ("source", "sentence"), [("absent.wav", "absent.wav"), (__file__, "holds no sound")]
)
async def test_a_file_that_cannot_be_heard_is_said_so_in_one_sentence(
    live: Live, source: str, sentence: str
) -> None:
    process = await live("http://127.0.0.1:9", source)
    out, remarks = await ended(process)
    assert (process.returncode, out) == (1, "")
    assert sentence in remarks
    assert len(remarks.splitlines()) == 1


async def test_a_wrong_key_is_said_in_one_sentence(agents: Agents, live: Live) -> None:
    agent = await mocked(agents)
    process = await live(agent.address, "-", API_KEY="wrong")
    out, remarks = await ended(process)
    assert (process.returncode, out) == (1, "")
    assert "does not know this API key" in remarks.splitlines()[-1]
    assert "Traceback" not in remarks


async def test_a_token_goes_before_a_key(agents: Agents, live: Live) -> None:
    secret = "a-secret-of-at-least-32-bytes-for-tests"
    agent = agents.make(
        STT_PROVIDER="mock", AUTH_MODE="jwt", OIDC_ALGORITHMS="HS256", JWT_SHARED_SECRET=secret
    )
    await agent.start()
    now = int(time.time())
    shown = token(SecretSigner(secret.encode()), claims(iat=now, exp=now + 600))
    for given in ({"ACCESS_TOKEN": shown}, {"ACCESS_TOKEN": "wrong"}):
        process = await live(agent.address, "-", API_KEY="wrong", **given)
        assert process.stdin is not None
        process.stdin.write(SILENCE)
        _, remarks = await ended(process)
        assert process.returncode == (0 if given["ACCESS_TOKEN"] == shown else 1), remarks
        assert shown not in remarks
    process = await live(agent.address, "-", "--token", shown, ACCESS_TOKEN="wrong")
    await ended(process)
    assert process.returncode == 0


async def test_a_terminal_gets_captions_in_place(agents: Agents, live: Live) -> None:
    agent = await mocked(agents)
    master, terminal = pty.openpty()
    process = await live(agent.address, "-", stdout=terminal)
    os.close(terminal)
    assert process.stdin is not None
    process.stdin.write(SILENCE)
    process.stdin.close()
    shown = b""
    async with asyncio.timeout(30):
        while part := await asyncio.to_thread(_read, master):
            shown += part
        assert await process.wait() == 0
    os.close(master)
    assert b"\x1b[J" in shown
    assert re.search(rb"\[00:00\.\d\] main: ", shown)


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 4096)
    except OSError:  # the other side of a terminal is closed
        return b""
