"""`interview-agent live`: speak into the service and read the words as they firm up."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import ClientSession

from interview_agent.client.captions import Captions
from interview_agent.client.live_client import LiveClient, TrackRequest
from interview_agent.client.meeting_api import MeetingApi
from interview_agent.client.screen import PlainScreen, Screen, TerminalScreen
from interview_agent.client.sound import (
    Sound,
    in_real_time,
    mix,
    open_file,
    open_microphone,
    open_raw,
    split,
)

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

_INTERRUPTED = 130


def run_live(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """Run the command and return its exit code; raises `AgentError` or `OSError`."""
    sound = _open(options)
    headers = _credential(options, environment)
    screen = (
        TerminalScreen(sys.stdout) if sys.stdout.isatty() else PlainScreen(sys.stdout, sys.stderr)
    )
    return asyncio.run(_Run(options, sound, headers, screen).run())


def _open(options: argparse.Namespace) -> Sound:
    if options.source == "-":
        return open_raw(sys.stdin.fileno(), options.rate, options.channels)
    if options.source == "mic":
        return open_microphone()
    return open_file(Path(options.source))


def _credential(options: argparse.Namespace, environment: Mapping[str, str]) -> dict[str, str]:
    if token := options.token or environment.get("ACCESS_TOKEN"):
        return {"Authorization": f"Bearer {token}"}
    key = _api_key(options, environment)
    return {"X-API-Key": key} if key else {}


def _api_key(options: argparse.Namespace, environment: Mapping[str, str]) -> str | None:
    if key := options.api_key or environment.get("API_KEY"):
        return str(key)
    kept = Path(environment.get("DATA_DIR") or "data") / "api_key"
    return kept.read_text(encoding="utf-8").strip() if kept.is_file() else None


class _Run:
    """One run of the command: the sound, the connections and what is shown."""

    def __init__(
        self,
        options: argparse.Namespace,
        sound: Sound,
        headers: Mapping[str, str],
        screen: Screen,
    ) -> None:
        self._options = options
        self._sound = sound
        self._headers = headers
        self._screen = screen
        self._captions = Captions()
        self._stop = asyncio.Event()
        self._meeting_id: str = options.meeting or f"live-{secrets.token_hex(4)}"
        self._is_streaming = False

    async def run(self) -> int:
        """Stream, follow, finish and print; return the exit code."""
        loop = asyncio.get_running_loop()
        streaming = asyncio.create_task(self._stream())

        def on_interrupt() -> None:
            if self._stop.is_set():
                os._exit(_INTERRUPTED)
            self._stop.set()
            if self._is_streaming:
                self._screen.remark("ending; Ctrl-C again leaves at once")
            else:
                streaming.cancel()

        loop.add_signal_handler(signal.SIGINT, on_interrupt)
        try:
            return await streaming
        except asyncio.CancelledError:
            return _INTERRUPTED
        finally:
            self._screen.close()

    async def _stream(self) -> int:
        async with AsyncExitStack() as stack:
            http = await stack.enter_async_context(ClientSession(headers=self._headers))
            self._screen.remark(f"connecting to {self._options.url}")
            clients = [await stack.enter_async_context(client) for client in self._clients(http)]
            self._is_streaming = True
            self._screen.remark(f"meeting {self._meeting_id}: listening; Ctrl-C ends it")
            await self._send(clients)
            for client in clients:
                await client.stop()
            if self._options.no_finish:
                self._screen.remark(f"meeting {self._meeting_id} stays open")
                return 0
            clients[0].finish()
            self._screen.remark("hearing the whole recording once more")
            api = MeetingApi(http, self._options.url)
            status = await api.until_settled(self._meeting_id)
            transcript = await api.transcript(self._meeting_id)
        self._screen.close()
        print("", *transcript, sep="\n")  # noqa: T201 - what the command is for
        return 0 if status == "done" else 1

    def _clients(self, http: ClientSession) -> list[LiveClient]:
        options, channels = self._options, self._sound.channels
        names = [options.track]
        if options.split_channels and channels > 1:
            names = [f"{options.track}-{each}" for each in range(channels)]
        return [
            LiveClient(
                http,
                options.url,
                TrackRequest(
                    self._meeting_id,
                    name,
                    sample_rate=self._sound.sample_rate,
                    language=options.language,
                    speaker_hint=options.speaker,
                    partials=name == names[0],
                ),
                on_message=self._take if name == names[0] else lambda _: None,
                on_trouble=self._screen.remark,
            )
            for name in names
        ]

    async def _send(self, clients: list[LiveClient]) -> None:
        channels = self._sound.channels
        async for piece in in_real_time(self._sound, self._stop):
            parts = [mix(piece, channels)] if len(clients) == 1 else split(piece, channels)
            for client, part in zip(clients, parts, strict=True):
                await client.send(part)

    def _take(self, message: dict[str, Any]) -> None:
        changed = self._captions.take(message)
        if changed is not None:
            self._screen.show(self._captions, changed)
