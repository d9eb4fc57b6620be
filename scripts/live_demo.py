"""Lets the two speakers of the bundled interview talk at once and shows their captions live.

Starts the whole service, streams each channel of the sample as a track of its own at the pace at
which it was spoken, shows the captions as they firm up, then the final transcript and how long
after the end of a word it was first shown and when it was committed.
"""

from __future__ import annotations

import asyncio
import secrets
import statistics
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiohttp import ClientSession

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
NEAR_S = 0.6
"""How far the time of a word may move before it counts as another word."""


@dataclass
class SeenWord:
    """A word of the captions: where it ends in the sound, and when it was shown and committed."""

    text: str
    end_s: float
    shown_s: float
    committed_s: float | None = None


class Delays:
    """Watches the captions of tracks whose sound began at `began_s` of the monotonic clock."""

    def __init__(self) -> None:
        self.began_s = 0.0
        self._seen: dict[str, list[SeenWord]] = {track: [] for track in TRACKS}
        self._final: list[SeenWord] = []

    def take(self, message: dict[str, Any]) -> None:
        """Note which words a message shows and which of them stand."""
        kind, words = message["event_type"], message.get("words") or []
        if kind not in {"transcript.partial", "transcript.update"}:
            return
        committed = message["committed"] if kind == "transcript.partial" else len(words)
        now_s = time.monotonic() - self.began_s
        for number, word in enumerate(words):
            seen = self._find(message["track"], word, now_s)
            if number < committed and seen.committed_s is None:
                seen.committed_s = now_s
            if kind == "transcript.update" and message["is_final"] and seen not in self._final:
                self._final.append(seen)

    def medians(self) -> tuple[float, float, int] | None:
        """Return the median delays of the final words, shown and committed, and their number."""
        if not self._final:
            return None
        shown = [word.shown_s - word.end_s for word in self._final]
        committed = [(word.committed_s or 0.0) - word.end_s for word in self._final]
        return statistics.median(shown), statistics.median(committed), len(self._final)

    def _find(self, track: str, word: dict[str, Any], now_s: float) -> SeenWord:
        text = "".join(filter(str.isalnum, word["text"].lower()))
        for seen in reversed(self._seen[track]):
            if seen.text == text and abs(seen.end_s - word["end"]) < NEAR_S:
                return seen
        self._seen[track].append(SeenWord(text, word["end"], now_s))
        return self._seen[track][-1]


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
    return ["", *transcript, "", _in_words(measured)]


def _in_words(measured: tuple[float, float, int] | None) -> str:
    if measured is None:
        return "no word was final before the end of the sound"
    shown_s, committed_s, count = measured
    return (
        f"after the end of a word (median of {count}): "
        f"shown after {shown_s:.2f} s, committed after {committed_s:.2f} s"
    )


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
