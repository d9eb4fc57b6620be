"""Sends a bot through your gateway into one real meeting, listens for a minute, and calls it back.

Nothing of the sound is stored or shown. It says whether the gateway keeps its contract there; what
else needs proof is listed in `docs/connectors/sberjazz.md`. Exits 0 after a pass, 1 after a
failure, 2 where it refuses to run.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from interview_agent.compose.connector import open_connector
from interview_agent.domain.errors import AgentError, ConnectorError
from interview_agent.domain.join_link import check_join_link, masked_link
from interview_agent.ports.connector import JoinOrder
from interview_agent.settings import SettingsError, read_settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from interview_agent.ports.connector import Connector, LiveChunk
    from interview_agent.settings import Settings

LINK, CONSENT = "SBERJAZZ_SMOKE_JOIN_URL", "SBERJAZZ_SMOKE_CONSENT"
SECONDS = "SBERJAZZ_SMOKE_SECONDS"
ADMISSION_S = 120.0
DEADLINE_S = 30.0
PAGE = 100
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Refusal(Exception):
    """It does not run; the text says what is missing."""


@dataclass
class Heard:
    """What came of the sound, by participant (empty: nobody in particular)."""

    chunks: Counter[str] = field(default_factory=Counter)
    audio_ms: Counter[str] = field(default_factory=Counter)
    names: set[str] = field(default_factory=set)
    ids: set[str] = field(default_factory=set)
    last: dict[tuple[str, int], int] = field(default_factory=dict)
    repeated: int = 0
    invalid: int = 0
    holes: int = 0

    def take(self, chunk: LiveChunk) -> None:
        """Count a chunk."""
        if chunk.chunk_id in self.ids:
            self.repeated += 1
            return
        self.ids.add(chunk.chunk_id)
        who = chunk.participant.participant_id if chunk.participant else ""
        self.chunks[who] += 1
        self.audio_ms[who] += chunk.duration_ms or 0
        if chunk.participant and chunk.participant.name:
            self.names.add(chunk.participant.name)
        if chunk.seq is not None:
            last = self.last.get((who, chunk.epoch))
            if last is not None and chunk.seq > last + 1:
                self.holes += chunk.seq - last - 1
            self.last[who, chunk.epoch] = max(chunk.seq, last or 0)


def find_settings(environ: Mapping[str, str]) -> tuple[Settings, str, float]:
    """Return the settings, the link and the seconds to listen. Raises `Refusal` naming the gaps."""
    given = {**environ, "MEETING_CONNECTOR_PROVIDER": "sberjazz"}
    try:
        settings = read_settings(given, Path(".env"))
        seconds = float(environ.get(SECONDS) or 60.0)
    except (SettingsError, ValueError) as error:
        raise Refusal(str(error)) from error
    missing = {
        "SBERJAZZ_API_BASE": settings.sberjazz_api_base,
        "SBERJAZZ_API_TOKEN": settings.sberjazz_api_token,
        f"{LINK} (a link into a meeting of your own)": environ.get(LINK),
        f"{CONSENT}=granted (everybody in it agreed to a bot)": environ.get(CONSENT) == "granted",
    }
    gaps = [name for name, value in missing.items() if not value]
    if gaps:
        raise Refusal("not set: " + ", ".join(gaps))
    try:
        link = check_join_link(environ[LINK], settings.sberjazz_join_hosts)
    except AgentError as error:
        raise Refusal(error.message) from error
    return settings, link, seconds


async def admitted(connector: Connector, meeting_id: str) -> Sequence[str]:
    """Wait until the bot is in the room; return what is wrong."""
    ends_s = time.monotonic() + ADMISSION_S
    shown = None
    while time.monotonic() < ends_s:
        session = await connector.session(meeting_id, deadline_s=DEADLINE_S)
        if session is None:
            return ["the gateway has no /session: nothing can be said of its bots"]
        if session.state is not shown:
            shown = session.state
            print(f"state: {session.state.value}", flush=True)
        if session.state.connected:
            return [] if session.heartbeat_at else ["there is no heartbeat_at in /session"]
        if not session.state.alive:
            reason = session.reason.value if session.reason else "no reason"
            return [f"the bot did not get in: {reason}"]
        await asyncio.sleep(1.0)
    return [f"the bot was not let in within {ADMISSION_S:.0f} s"]


async def listen(connector: Connector, meeting_id: str, seconds: float) -> Heard:
    """Pull for so many seconds, as the service does: until a page is empty, then a second later."""
    heard, cursor = Heard(), None
    ends_s = time.monotonic() + seconds
    while time.monotonic() < ends_s:
        page = await connector.live_chunks(meeting_id, cursor, limit=PAGE, deadline_s=DEADLINE_S)
        heard.invalid += page.invalid
        for chunk in page.chunks:
            heard.take(chunk)
        if page.next_cursor == cursor or not page.chunks:
            await asyncio.sleep(1.0)
        cursor = page.next_cursor
    return heard


def judge(heard: Heard, seconds: float) -> list[str]:
    """Print what was heard; return what is wrong with it."""
    for who, count in sorted(heard.chunks.items()):
        audio_s = heard.audio_ms[who] / 1000
        print(f"{who or 'room'}: {count} chunks, {audio_s:.1f} s of sound in {seconds:.0f} s")
    print(f"names given: {len(heard.names)}; repeated chunks: {heard.repeated}")
    wrong = [] if heard.chunks else ["no sound came: did anybody speak?"]
    if heard.invalid:
        wrong.append(f"{heard.invalid} chunks were not as the contract wants them")
    if heard.holes:
        wrong.append(f"{heard.holes} numbers of chunks were left out")
    return wrong


async def left(connector: Connector, meeting_id: str) -> list[str]:
    """Call the bot back, twice; return what is wrong."""
    for _ in range(2):
        await connector.leave(meeting_id, deadline_s=DEADLINE_S)
    session = await connector.session(meeting_id, deadline_s=DEADLINE_S)
    print("left")
    if session is not None and session.state.alive:
        return [f"after leave the bot is still {session.state.value}"]
    return []


async def smoke(settings: Settings, link: str, seconds: float) -> list[str]:
    """Join, listen, leave; return what is wrong. Raises `ConnectorError`."""
    meeting_id = f"smoke-{secrets.token_hex(4)}"
    async with AsyncExitStack() as stack:
        connector = open_connector(settings, stack)
        if connector is None:
            raise Refusal("there is no gateway")
        health = await connector.health(deadline_s=DEADLINE_S)
        print(f"health: {'ok' if health.healthy else 'not well'} {dict(health.details)}")
        order = JoinOrder(meeting_id, f"{meeting_id}:1", link, "Interview Agent (test)", "ru")
        print(f"joining {masked_link(link)} as {meeting_id}", flush=True)
        try:
            first = await connector.join(order, deadline_s=DEADLINE_S)
            again = await connector.join(order, deadline_s=DEADLINE_S)
            wrong = [] if first.epoch == again.epoch else ["the same order sent a second bot"]
            refused = await admitted(connector, meeting_id)
            wrong += refused
            if not refused:
                wrong += judge(await listen(connector, meeting_id, seconds), seconds)
        finally:
            came_back = await left(connector, meeting_id)
        return wrong + came_back


def main() -> int:
    """Run it and print the verdict."""
    try:
        settings, link, seconds = find_settings(os.environ)
    except Refusal as refusal:
        print(f"refused: {refusal}", file=sys.stderr)
        return 2
    try:
        wrong = asyncio.run(smoke(settings, link, seconds))
    except ConnectorError as error:
        wrong = [f"{error.code}: {error.message}"]
    for each in wrong:
        print(f"wrong: {each}")
    if urlsplit(settings.sberjazz_api_base or "").hostname in LOOPBACK:
        print("The gateway runs on this machine: if it is a fake, this says nothing of SaluteJazz.")
    print("FAIL" if wrong else "PASS: the gateway kept its contract in this meeting")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
