"""One recording over a connection that breaks at random, and the accounts that must then agree."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import ClientSession

from cutting_proxy import CuttingProxy, random_cuts
from interview_agent.client.connection import Patience
from interview_agent.client.live_client import LiveClient, TrackRequest
from running_agents import KEY

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from running_agents import Agent

PIECE_BYTES = 3200
"""A tenth of a second of 16 kHz sound."""

HURRY_S = 0.02
"""Five times as fast as it would be spoken."""

PATIENCE = Patience(answer_s=5.0, backoff_base_s=0.02, backoff_limit_s=0.1)


@dataclass
class Journal:
    """What was sent, and every message that came back."""

    meeting_id: str
    sent: bytearray = field(default_factory=bytearray)
    messages: list[dict[str, Any]] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    cuts: int = 0
    connections: int = 0
    live_events: int = 0
    """Number of the last event before the meeting was finished."""
    sound_s: float = 0.0
    """How long the sound took until everything was acknowledged."""
    finish_s: float = 0.0
    """How long the meeting took from then on."""

    def of_type(self, *kinds: str) -> list[dict[str, Any]]:
        return [each for each in self.messages if each["event_type"] in kinds]


def noise(chance: random.Random) -> Iterator[bytes]:
    """Yield pieces of which no two are alike."""
    while True:
        yield chance.randbytes(PIECE_BYTES)


def over_and_over(recording: bytes) -> Iterator[bytes]:
    """Yield the samples of a recording again and again."""
    sound = recording[: len(recording) // PIECE_BYTES * PIECE_BYTES]
    while True:
        yield from (sound[at : at + PIECE_BYTES] for at in range(0, len(sound), PIECE_BYTES))


async def record(
    agent: Agent,
    meeting_id: str,
    pieces: Iterator[bytes],
    *,
    is_enough: Callable[[CuttingProxy, Journal], bool],
    chance: random.Random | None = None,
    pace_s: float = HURRY_S,
) -> Journal:
    """Send pieces until it is enough and finish; `chance` breaks the connection until then."""
    journal = Journal(meeting_id)
    plan = random_cuts(chance) if chance else None
    async with (
        CuttingProxy(agent.address, plan) as proxy,
        ClientSession(headers={"X-API-Key": KEY}) as http,
        LiveClient(
            http,
            proxy.address,
            TrackRequest(meeting_id),
            on_message=journal.messages.append,
            on_trouble=lambda trouble: journal.troubles.append(trouble or ""),
            patience=PATIENCE,
        ) as client,
    ):
        began_s = time.monotonic()
        await _speak(client, journal, pieces, pace_s, lambda: is_enough(proxy, journal))
        proxy.plan = None
        await client.stop()
        journal.live_events = client.last_event or 0
        stopped_s = time.monotonic()
        client.finish()
        await agent.until_done(meeting_id, timeout_s=240)
        journal.sound_s = stopped_s - began_s
        journal.finish_s = time.monotonic() - stopped_s
        journal.cuts, journal.connections = proxy.cuts, client.connections
        newest = len(await _events_of(agent, meeting_id))
        async with asyncio.timeout(30):
            while (client.last_event or 0) < newest:
                await asyncio.sleep(0.02)
    return journal


async def _speak(
    client: LiveClient,
    journal: Journal,
    pieces: Iterator[bytes],
    pace_s: float,
    is_enough: Callable[[], bool],
) -> None:
    loop = asyncio.get_running_loop()
    due_s = loop.time()
    while not is_enough():
        piece = next(pieces)
        journal.sent += piece
        await client.send(piece)
        due_s += pace_s
        await asyncio.sleep(max(due_s - loop.time(), 0))


async def judge(agent: Agent, journal: Journal, blob_dir: Path) -> list[str]:
    """Return every account that does not agree with the others, in words."""
    frames = len(journal.sent) // PIECE_BYTES
    events = await _events_of(agent, journal.meeting_id)
    seen = [each["event"] for each in journal.of_type("transcript.update", "transcript.retract")]
    checks = {
        "frames acknowledged once": _acknowledged(journal) == list(range(frames)),
        "events seen once each, without a gap": seen == list(range(1, len(seen) + 1)),
        "events seen and events replayed": seen == [each["event"] for each in events],
        "what was seen and what is replayed": _texts(journal.messages) == _texts(events),
        "bytes stored and bytes sent": await _stored(agent, journal.meeting_id, blob_dir)
        == journal.sent,
        "acks and events in turn": not any(
            "were acknowledged" in each or "came after" in each for each in journal.troubles
        ),
    }
    return [account for account, agrees in checks.items() if not agrees]


def _acknowledged(journal: Journal) -> list[int]:
    """Return the number of every frame as often as it was acknowledged, in order.

    A frame whose ack was lost is acknowledged by `next_frame` of the next connection.
    """
    numbers: list[int] = []
    known = 0
    for message in journal.of_type("session.ready", "audio.ack"):
        if message["event_type"] == "audio.ack":
            numbers += range(message["first_frame"], message["frame"] + 1)
            known = max(known, message["frame"] + 1)
        else:
            numbers += range(known, message["next_frame"])
            known = max(known, message["next_frame"])
    return numbers


def _texts(messages: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    kinds = ("transcript.update", "transcript.retract")
    fields = ("event", "segment_id", "revision", "raw_text")
    return [
        tuple(each.get(name) for name in fields) for each in messages if each["event_type"] in kinds
    ]


async def _events_of(agent: Agent, meeting_id: str) -> list[dict[str, Any]]:
    """Return every event that a listener gets who comes late."""
    events: list[dict[str, Any]] = []
    async with (
        ClientSession(headers={"X-API-Key": KEY}) as http,
        http.ws_connect(f"{agent.address}/v1/ws") as socket,
    ):
        await socket.send_str(
            json.dumps(
                {
                    "schema_version": "v1",
                    "event_type": "session.subscribe",
                    "meeting_id": meeting_id,
                    "last_event": 0,
                }
            )
        )
        newest: int | None = None
        async with asyncio.timeout(30):
            while newest is None or len(events) < newest:
                message = json.loads((await socket.receive()).data)
                if message["event_type"] == "meeting.status":
                    newest = message["event"]
                elif "event" in message:
                    events.append(message)
    return events


async def _stored(agent: Agent, meeting_id: str, blob_dir: Path) -> bytes:
    """Return the bytes of every accepted chunk in order."""
    (track,) = (await agent.get(f"/v1/meetings/{meeting_id}/chunks"))["tracks"]
    folder = blob_dir / "meetings" / meeting_id / "main"
    names = [f"{each['seq']:010d}-{each['sha256'][:32]}.bin" for each in track["chunks"]]
    return b"".join((folder / name).read_bytes() for name in names)
