"""Sends one track and follows its meeting, over as many connections as it takes."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from interview_agent.client.connection import (
    Connection,
    Message,
    Patience,
    connected,
    number,
    raise_error,
)
from interview_agent.client.event_cursor import EventCursor
from interview_agent.client.frame_window import FrameWindow
from interview_agent.domain.errors import AgentError, ConnectionLost, Refused
from interview_agent.domain.frames import FRAME_NUMBER_BYTES
from interview_agent.domain.ids import DEFAULT_TRACK
from interview_agent.domain.retry import backoff_s

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from aiohttp import ClientSession

BUFFER_BYTES = 8 * 1024 * 1024
"""Four minutes of 16 kHz sound, which a microphone may go on for while nothing can be sent."""

_PATIENCE = Patience()
_ECHO_S = 10.0
"""An earlier connection of ours that the service opens so late takes the track from this one."""
_OUT_OF_STEP = ("frame_gap", "frame_repeated")
_NUMBERED = ("transcript.update", "transcript.retract")


@dataclass(frozen=True, slots=True)
class TrackRequest:
    """The track that is to be sent, and whether growing captions are wanted back."""

    meeting_id: str
    track: str = DEFAULT_TRACK
    codec: str = "pcm_s16le"
    sample_rate: int = 16_000
    channels: int = 1
    language: str | None = None
    speaker_hint: str | None = None
    partials: bool = True


def _ignore(_: object) -> None:
    """Do nothing."""


class LiveClient:
    """Sends the frames of one track, each of them once in effect, and follows the meeting.

    Used as a context: it is entered when the service is ready for the track. A connection that
    breaks is made again, and goes on after what is durable and after the last event seen; only what
    no retry can cure ends the client, with `Refused` from whatever waits on it.

    `on_message` gets every message of the service in order, numbered events once each. `on_trouble`
    gets one sentence while something is wrong, and None when it is over. `http` carries the
    credential in its headers.
    """

    def __init__(
        self,
        http: ClientSession,
        url: str,
        request: TrackRequest,
        *,
        on_message: Callable[[Message], None] = _ignore,
        on_trouble: Callable[[str | None], None] = _ignore,
        patience: Patience = _PATIENCE,
        buffer_bytes: int = BUFFER_BYTES,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.request = request
        self.connections = 0
        self._http = http
        self._url = f"{url.rstrip('/')}/v1/ws"
        self._on_message = on_message
        self._on_trouble = on_trouble
        self._patience = patience
        self._jitter = jitter
        self._window = FrameWindow(buffer_bytes)
        self._events = EventCursor()
        self._changed = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        self._max_in_flight = 0
        self._max_audio_bytes = 0
        self._started = False
        self._stopping = False
        self._stopped = False
        self._finishing = False
        self._attempt = 0
        self._in_trouble = False
        self._opened_s = self._taken_back_s = float("-inf")

    @property
    def last_event(self) -> int | None:
        """Number of the last event seen."""
        return self._events.last

    @property
    def next_frame(self) -> int:
        """Number of the next frame; those below it were sent or wait to be sent."""
        return self._window.next_number

    async def __aenter__(self) -> Self:
        self._running = asyncio.create_task(self._run())
        self._running.add_done_callback(lambda _: self._wake())
        try:
            await self._until(lambda: self._started)
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._end()

    async def send(self, audio: bytes) -> None:
        """Send a piece of audio; waits while too much is kept that is not acknowledged."""
        for at in range(0, len(audio), self._max_audio_bytes):
            await self._until(lambda: not self._window.is_full)
            self._window.append(audio[at : at + self._max_audio_bytes])
            self._wake()

    async def stop(self) -> None:
        """End the track: returns when every frame is durable and the service let go of it."""
        self._stopping = True
        self._wake()
        await self._until(lambda: self._stopped)

    def finish(self) -> None:
        """Ask for the meeting to be closed, now or at the next connection."""
        self._finishing = True
        self._wake()

    async def _end(self) -> None:
        if self._running is not None:
            self._running.cancel()
            with suppress(asyncio.CancelledError, AgentError):
                await self._running

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _until(self, reached: Callable[[], bool]) -> None:
        while not reached():
            changed = self._changed
            if self._running is not None and self._running.done():
                self._running.result()
            await changed.wait()

    async def _run(self) -> None:
        while True:
            try:
                async with connected(self._http, self._url, self._patience) as connection:
                    await self._open(connection)
                    self.connections += 1
                    await self._converse(connection)
            except ConnectionLost as error:
                self._trouble(error.message)
                await asyncio.sleep(self._pause_s(error))

    def _pause_s(self, error: ConnectionLost) -> float:
        self._attempt += 1
        return max(
            error.retry_after_s or 0.0,
            backoff_s(
                self._attempt,
                self._jitter(),
                base_s=self._patience.backoff_base_s,
                most_s=self._patience.backoff_limit_s,
            ),
        )

    async def _open(self, connection: Connection) -> None:
        request = self.request
        where = {"meeting_id": request.meeting_id, "last_event": self._events.last}
        if self._stopped:
            await connection.send("session.subscribe", **where, partials=request.partials)
            return
        if self._started:
            await connection.send(
                "session.resume", **where, track=request.track, partials=request.partials
            )
        else:
            await connection.send(
                "session.start",
                meeting_id=request.meeting_id,
                track=request.track,
                codec=request.codec,
                sample_rate=request.sample_rate,
                channels=request.channels,
                language=request.language,
                speaker_hint=request.speaker_hint,
                partials=request.partials,
            )
        try:
            async with asyncio.timeout(self._patience.answer_s):
                while True:
                    message = await connection.receive()
                    if message.get("event_type") == "session.ready":
                        break
                    if message.get("event_type") == "error":
                        raise_error(message)
                    self._take(message)
        except TimeoutError as error:
            raise ConnectionLost("the service does not answer") from error
        self._make_ready(message)

    def _make_ready(self, ready: Message) -> None:
        self._max_in_flight = number(ready, "max_in_flight")
        self._max_audio_bytes = number(ready, "max_frame_bytes") - FRAME_NUMBER_BYTES
        if self._started:
            self._window.resume(number(ready, "next_frame"))
        else:
            self._window.begin(number(ready, "next_frame"))
        self._events.begin(number(ready, "last_event"))
        self._started = True
        self._opened_s = asyncio.get_running_loop().time()
        self._on_message(ready)
        self._wake()

    async def _converse(self, connection: Connection) -> None:
        self._trouble(None)
        failures: tuple[BaseException, ...] = ()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._read(connection))
                group.create_task(self._write(connection))
        except* AgentError as failed:
            failures = failed.exceptions
        # The reader knows why a connection ended; the writer only that it did.
        raise next((one for one in failures if isinstance(one, Refused)), failures[0])

    async def _read(self, connection: Connection) -> None:
        while True:
            self._take(await connection.receive())

    async def _write(self, connection: Connection) -> None:
        asked_to_stop = asked_to_finish = False
        while True:
            changed = self._changed
            due = self._window.take_due(self._max_in_flight)
            if due is not None:
                await connection.send_frame(*due)
            elif self._stopped and self._finishing and not asked_to_finish:
                asked_to_finish = True
                await connection.send("meeting.finish", meeting_id=self.request.meeting_id)
            elif self._stopping and self._window.is_empty and not asked_to_stop | self._stopped:
                asked_to_stop = True
                await connection.send("session.stop")
            else:
                await changed.wait()

    def _take(self, message: Message) -> None:
        match message.get("event_type"):
            case "audio.ack":
                self._take_ack(message)
            case "session.stopped":
                self._stopped = True
                self._wake()
            case "error":
                self._take_error(message)
            case kind if kind in _NUMBERED:
                if not self._events.admit(number(message, "event")):
                    return
                self._attempt = 0
        self._on_message(message)

    def _take_ack(self, message: Message) -> None:
        if message.get("track") != self.request.track:
            return
        self._window.acknowledge(number(message, "first_frame"), number(message, "frame"))
        self._attempt = 0
        self._trouble(None)
        self._wake()

    def _take_error(self, message: Message) -> None:
        code = message.get("code")
        if code == "session_taken" and self._takes_back():
            raise ConnectionLost("an earlier connection of ours came late")
        if code in _OUT_OF_STEP:
            raise ConnectionLost(f"the service lost step ({code})")
        if not message.get("retryable"):
            raise_error(message)
        self._trouble(str(message.get("message") or code))

    def _takes_back(self) -> bool:
        """Say whether the track is to be taken back: once, so that two senders do not fight on."""
        now_s = asyncio.get_running_loop().time()
        again = self.connections > 1 and now_s - self._opened_s < _ECHO_S
        if not again or now_s - self._taken_back_s < _ECHO_S:
            return False
        self._taken_back_s = now_s
        return True

    def _trouble(self, sentence: str | None) -> None:
        if sentence is not None or self._in_trouble:
            self._in_trouble = sentence is not None
            self._on_trouble(sentence)
