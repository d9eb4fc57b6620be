"""Every example of docs/live-protocol.md is what the service really says."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import ClientSession

from interview_agent.domain.errors import AgentError
from interview_agent.web.live.protocol import KINDS
from running_agents import KEY
from socket_client import Dialler, Message, Talk, frame

if TYPE_CHECKING:
    from running_agents import Agents

PAGE = Path(__file__).resolve().parents[2] / "docs" / "live-protocol.md"
BLOCK = re.compile(r"^```live\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FRAME = re.compile(r"frame (\d+) with (\d+) bytes")
ANYTHING = "…"


def examples() -> list[list[str]]:
    return [block.splitlines() for block in BLOCK.findall(PAGE.read_text(encoding="utf-8"))]


def expected(line: str) -> Message:
    """Read a line of the service; a bare … stands for any value."""
    template: Message = json.loads(re.sub(r"(?<=: )…", f'"{ANYTHING}"', line))
    return template


def matches(template: Any, value: Any) -> bool:
    if template == ANYTHING:
        return True
    if isinstance(template, dict) and isinstance(value, dict):
        return all(key in value and matches(template[key], value[key]) for key in template)
    return bool(template == value)


async def heard(talk: Talk, template: Message) -> None:
    """Wait for a message like this; others are passed over."""
    try:
        async with asyncio.timeout(20):
            while not matches(template, await talk.next()):
                pass
    except TimeoutError:
        raise AssertionError((template, talk.heard)) from None


async def play(dial: Dialler, lines: list[str]) -> None:
    talk = await dial.open(KEY)
    for line in lines:
        side, said = line[0], line[2:]
        if side == "<":
            await heard(talk, expected(said))
        elif said == "cut":
            assert talk.socket._response.connection is not None
            talk.socket._response.connection.transport.abort()
            talk = await dial.open(KEY)
        elif found := FRAME.fullmatch(said):
            await talk.socket.send_bytes(frame(int(found[1]), bytes(int(found[2]))))
        else:
            await talk.socket.send_str(said)
    await talk.socket.close()


async def test_every_example_happens_as_written(agents: Agents) -> None:
    # Chunks so long that the examples decide what is acknowledged together.
    (agent,) = agents.make_apart(["all"], STT_PROVIDER="mock", LIVE_CHUNK_MS="1000")
    await agent.start()
    async with ClientSession() as session:
        for lines in examples():
            await play(Dialler(session, agent.address), lines)
    assert await agent.stop() == 0


def test_the_page_shows_every_message_that_clients_may_send() -> None:
    sent = [line for lines in examples() for line in lines if line.startswith(">")]
    assert [kind for kind in KINDS if not any(f'"{kind}"' in line for line in sent)] == []


def test_every_error_code_of_the_page_is_one_of_ours() -> None:
    table = PAGE.read_text(encoding="utf-8").partition("| Code | When |")[2].partition("\n\n")[0]
    first_cells = [line.split("|")[1] for line in table.splitlines() if line.count("|") >= 3]
    told = set(re.findall(r"`(\w+)`", "".join(first_cells)))
    kinds, known = [AgentError], set[str]()
    while kinds:
        kind = kinds.pop()
        known.add(kind.code)
        kinds.extend(kind.__subclasses__())
    assert len(told) > 15
    assert told <= known


def test_every_line_of_an_example_is_of_one_side() -> None:
    assert examples()
    assert all(line[:2] in {"> ", "< "} for lines in examples() for line in lines)
