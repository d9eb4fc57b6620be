"""Lets the two speakers of the bundled interview talk at once and shows their captions live.

Starts the whole service, streams each channel of the sample as a track of its own at the pace at
which it was spoken, shows the captions as they firm up, then the final transcript and how long
after the end of a word it was first shown and when it was committed.
"""

from __future__ import annotations

import asyncio
import secrets
import sys
import time
from typing import TYPE_CHECKING, Any

from aiohttp import ClientSession

from caption_delays import Delays, in_words
from interview_agent.client.captions import Captions
from interview_agent.client.live_client import LiveClient, TrackRequest
from interview_agent.client.meeting_api import MeetingApi
from interview_agent.client.screen import PlainScreen, Screen, TerminalScreen
from interview_agent.client.sound import in_real_time, open_file, split
from interview_agent.domain.errors import AgentError
from own_service import PARTICIPANTS, ROOT, SAMPLE, Api, DemoError, own_folder, service

if TYPE_CHECKING:
    from collections.abc import Sequence

TRACKS = tuple(each["track"] for each in PARTICIPANTS)


async def stream(address: str, key: str, meeting_id: str, screen: Screen) -> Sequence[object]:
    """Stream the sample and return the lines of the transcript and of the delays."""
    captions, delays = Captions(), Delays()

    def take(message: dict[str, Any]) -> None:
        delays.take(message)
        changed = captions.take(message)
        if changed is not None:
            screen.show(captions, changed)

    async with ClientSession(headers={"X-API-Key": key}) as http:
        listener, speaker = (
            LiveClient(
                http,
                address,
                TrackRequest(meeting_id, track, language="en", partials=track == TRACKS[0]),
                on_message=take if track == TRACKS[0] else lambda _: None,
                on_trouble=screen.remark,
            )
            for track in TRACKS
        )
        async with listener, speaker:
            delays.began_s = time.monotonic()
            async for piece in in_real_time(open_file(SAMPLE), asyncio.Event()):
                for client, part in zip((listener, speaker), split(piece, 2), strict=True):
                    await client.send(part)
            await listener.stop()
            await speaker.stop()
            measured = delays.medians()
            listener.finish()
            screen.remark("hearing the whole recording once more")
            api = MeetingApi(http, address)
            if await api.until_settled(meeting_id) != "done":
                message = "the meeting failed"
                raise DemoError(message)
            transcript = await api.transcript(meeting_id)
    screen.close()
    return ["", *transcript, "", in_words(measured)]


def run() -> None:
    """Run the demonstration in a folder of its own."""
    with own_folder() as folder:
        print("starting PostgreSQL, Valkey and every role …", flush=True)
        key = secrets.token_urlsafe(24)
        with service(folder, key) as address:
            print(f"ready at {address}; the sample takes 70 s\n", flush=True)
            meeting_id = f"live-demo-{secrets.token_hex(4)}"
            Api(address, key).call(
                "POST",
                "/v1/meetings/start",
                {
                    "meeting_id": meeting_id,
                    "language": "en",
                    "consent": "granted",
                    "context": {"participants": PARTICIPANTS},
                },
            )
            on_terminal = sys.stdout.isatty()
            screen = (
                TerminalScreen(sys.stdout) if on_terminal else PlainScreen(sys.stdout, sys.stderr)
            )
            lines = asyncio.run(stream(address, key, meeting_id, screen))
        print(*lines, sep="\n")
        results = folder / meeting_id
        results.mkdir()
        text = "\n".join(map(str, lines)).strip()
        (results / "transcript.txt").write_text(text + "\n", encoding="utf-8")
        print(f"\nfile: {results.relative_to(ROOT)}/transcript.txt")
        print(f"log:  {(folder / 'service.log').relative_to(ROOT)}")


if __name__ == "__main__":
    try:
        run()
    except (DemoError, AgentError) as error:
        sys.exit(f"live demo: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
