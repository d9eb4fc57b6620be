"""What a bot hears in a meeting is captioned while it is said."""

from __future__ import annotations

import asyncio
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import ClientSession

from event_stream_client import EventStream, event_stream
from fake_sberjazz import FakeGateway, read_voice, serve
from running_agents import KEY
from socket_client import Dialler

if TYPE_CHECKING:
    from running_agents import Agents

HEADERS = {"X-API-Key": KEY}
SERVICE = {"X-API-Key": "machine"}
SPEECH = Path(__file__).parents[1] / "data" / "0870_sense.wav"
WORDS = ("john", "leisure", "consider", "prudently")
FRAME_BYTES = 3_200
LATER_S = 3.0
"""So much later than on a socket a word may be shown: a chunk of the gateway lasts a second, the
next pull may be a second away, and the machine may be busy."""


async def first_shown(stream: EventStream, began_s: float) -> dict[str, float]:
    """Return when each of the words was shown first, in seconds from the beginning."""
    shown: dict[str, float] = {}
    async with asyncio.timeout(60):
        while len(shown) < len(WORDS):
            said = " ".join(_text(each.message) for each in list(stream.told)).lower()
            for word in WORDS:
                if word in said:
                    shown.setdefault(word, time.monotonic() - began_s)
            await asyncio.sleep(0.02)
    return shown


def _text(message: dict[str, Any]) -> str:
    return " ".join(word["text"] for word in message.get("words") or ())


async def push(agent_address: str, meeting_id: str) -> float:
    """Send the speech over a socket as it is said; return when that began."""
    speech = read_voice("Anna", SPEECH).samples
    async with ClientSession() as http:
        talk = await Dialler(http, agent_address).open(KEY)
        await talk.start(meeting_id, language="en")
        began_s = time.monotonic()
        for number, at in enumerate(range(0, len(speech), FRAME_BYTES)):
            await talk.frames([number], speech[at : at + FRAME_BYTES])  # type: ignore[arg-type]
            await asyncio.sleep(max(began_s + 0.1 * (number + 1) - time.monotonic(), 0))
        await talk.say("session.stop")
    return began_s


@pytest.mark.slow
async def test_words_from_a_gateway_are_shown_little_later_than_from_a_socket(
    agents: Agents,
) -> None:
    async with serve(FakeGateway([read_voice("Anna", SPEECH)])) as fake:
        agent = agents.make(
            SERVICE_API_KEYS="machine",
            MEETING_CONNECTOR_PROVIDER="sberjazz",
            SBERJAZZ_API_BASE=fake.address,
        )
        await agent.start()
        for meeting_id in ("pulled", "pushed"):
            await agent.call(
                "POST",
                "/v1/meetings/start",
                {
                    "meeting_id": meeting_id,
                    "language": "en",
                    "context": {
                        "join_url": "https://salutejazz.ru/calls/abc?psw=x",
                        "participants": [{"name": "Anna", "role": "interviewer"}],
                    },
                },
            )
        async with (
            event_stream(agent.address, "pushed", HEADERS) as pushed,
            event_stream(agent.address, "pulled", HEADERS) as pulled,
        ):
            began_s = time.monotonic()
            pushing = asyncio.create_task(push(agent.address, "pushed"))
            on_socket = await first_shown(pushed, began_s)
            await pushing
            joined = await agent.call(
                "POST", "/v1/admin/connectors/sberjazz/pulled/join", headers=SERVICE
            )
            assert joined[0] == 200, joined
            from_gateway = await first_shown(pulled, fake.calls("join")[0].at_s)
        later_s = [from_gateway[word] - on_socket[word] for word in WORDS]
        assert statistics.median(later_s) < LATER_S, (from_gateway, on_socket)
        fake.room("pulled").put("ended", "call_ended")
        done = await agent.until_done("pulled")
        (segment, *_) = (await agent.get("/v1/meetings/pulled/segments"))["segments"]
        assert segment["speaker"] == "Anna"
        assert done["report"] is not None
