"""Lets two participants of a connected meeting talk, and shows what becomes of it.

Starts a gateway that follows our contract and the whole service, tells the service by its admin API
to join a meeting, shows captions while the two speakers of the bundled interview talk there, hangs
up, and prints the transcript and the report.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import sys
import wave
from typing import TYPE_CHECKING, Any

from aiohttp import ClientSession, ClientTimeout

from caption_delays import Delays, in_words
from fake_sberjazz import FakeGateway, Voice, serve
from interview_agent.client.captions import Captions
from interview_agent.client.meeting_api import MeetingApi
from interview_agent.client.screen import PlainScreen, Screen, TerminalScreen
from interview_agent.domain.analytics.report_text import format_report
from interview_agent.domain.errors import AgentError
from own_service import PARTICIPANTS, ROOT, SAMPLE, Api, DemoError, own_folder, service

if TYPE_CHECKING:
    from pathlib import Path

NAMES = tuple(each["name"] for each in PARTICIPANTS)
CONNECTOR = "/v1/admin/connectors/sberjazz"
HANG_UP_AFTER_S = 2.0


def voices() -> list[Voice]:
    """Let each channel of the sample be a participant."""
    with wave.open(str(SAMPLE), "rb") as file:
        rate, sound = file.getframerate(), file.readframes(file.getnframes())
    frames = range(0, len(sound), 4)
    return [
        Voice(name.lower(), name, b"".join(sound[at + side : at + side + 2] for at in frames), rate)
        for side, name in zip((0, 2), NAMES, strict=True)
    ]


async def follow(
    http: ClientSession, url: str, captions: Captions, delays: Delays, screen: Screen
) -> None:
    """Show the events of a meeting as they come."""
    async with http.get(url, timeout=ClientTimeout(total=None)) as answer:
        async for line in answer.content:
            if not line.startswith(b"data: "):
                continue
            message: dict[str, Any] = json.loads(line.removeprefix(b"data: "))
            delays.take(message)
            if (changed := captions.take(message)) is not None:
                screen.show(captions, changed)


async def attend(gateway: FakeGateway, address: str, key: str, screen: Screen) -> dict[str, Any]:
    """Join the meeting, show captions until everything was said, and return what came of it."""
    meeting_id, api = f"connector-demo-{secrets.token_hex(4)}", Api(address, key)
    start = {
        "meeting_id": meeting_id,
        "language": "en",
        "consent": "granted",
        "context": {
            "join_url": "https://salutejazz.ru/calls/demo?psw=demo",
            "participants": [{"name": name, "role": name.lower()} for name in NAMES],
        },
    }
    await asyncio.to_thread(api.call, "POST", "/v1/meetings/start", start)
    captions, delays = Captions(), Delays()
    async with ClientSession(headers={"X-API-Key": key}) as http:
        url = f"{address}/v1/meetings/{meeting_id}/events?partials=true"
        following = asyncio.create_task(follow(http, url, captions, delays, screen))
        session = await asyncio.to_thread(api.call, "POST", f"{CONNECTOR}/{meeting_id}/join", {})
        delays.began_s = gateway.calls("join")[0].at_s
        screen.remark(f"the bot is in the meeting: {session['state']}")
        longest_s = max(voice.end_ms(voice.chunks - 1) for voice in gateway.voices) / 1000
        await asyncio.sleep(longest_s + HANG_UP_AFTER_S)
        measured = delays.medians()
        gateway.room(meeting_id).put("ended", "call_ended")
        screen.remark("the call has ended; hearing the whole recording once more")
        if await MeetingApi(http, address).until_settled(meeting_id) != "done":
            message = "the meeting failed"
            raise DemoError(message)
        transcript = await MeetingApi(http, address).transcript(meeting_id)
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following
    screen.close()
    meeting = await asyncio.to_thread(api.call, "GET", f"/v1/meetings/{meeting_id}")
    return {
        "meeting_id": meeting_id,
        "transcript": "\n".join(map(str, transcript)),
        "report": format_report(meeting["report"], "en"),
        "delays": in_words(measured),
    }


async def run(folder: Path) -> None:
    """Run the demonstration in a folder of its own."""
    key = secrets.token_urlsafe(24)
    async with serve(FakeGateway(voices())) as gateway:
        print(f"a gateway answers at {gateway.address}")
        print("starting PostgreSQL, Valkey and every role …", flush=True)
        with service(
            folder,
            key,
            SERVICE_API_KEYS=key,
            API_KEYS="",
            MEETING_CONNECTOR_PROVIDER="sberjazz",
            SBERJAZZ_API_BASE=gateway.address,
        ) as address:
            print(f"ready at {address}; the sample takes 70 s\n", flush=True)
            on_terminal = sys.stdout.isatty()
            screen = (
                TerminalScreen(sys.stdout) if on_terminal else PlainScreen(sys.stdout, sys.stderr)
            )
            result = await attend(gateway, address, key, screen)
    print(f"\n{result['transcript']}\n\n{result['report']}\n\n{result['delays']}")
    results = folder / result["meeting_id"]
    results.mkdir()
    for name in ("transcript", "report"):
        (results / f"{name}.txt").write_text(result[name] + "\n", encoding="utf-8")
    print(f"\nfiles: {results.relative_to(ROOT)}/transcript.txt, report.txt")
    print(f"log:   {(folder / 'service.log').relative_to(ROOT)}")


if __name__ == "__main__":
    try:
        with own_folder() as own:
            asyncio.run(run(own))
    except (DemoError, AgentError) as error:
        sys.exit(f"connector demo: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
