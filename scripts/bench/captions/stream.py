"""One speaker at the public socket: sends frames on a fixed schedule and notes what comes back."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp

from captions.delays import Caption
from captions.recordings import SAMPLE_RATE
from captions.words import timed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from captions.recordings import Samples

FRAME_S = 0.1
FRAME_BYTES = int(FRAME_S * SAMPLE_RATE) * 2
SILENT_FRAME = bytes(FRAME_BYTES)
ANSWER_TIMEOUT_S = 20.0
QUIET_S = 4.0
"""Live text is complete when no word is pending and no caption has come for so long."""
LONGEST_TAIL_S = 20.0


class StreamRefused(Exception):
    """The service did not take the stream; the text is its code."""


@dataclass
class Log:
    """What the service said, with the moments of the monotonic clock at which it came."""

    captions: list[tuple[float, str, tuple[Any, ...], bool]] = field(default_factory=list)
    acked_frame: int = -1
    errors: list[str] = field(default_factory=list)
    last_commit_s: float | None = None
    _pending: dict[str, int] = field(default_factory=dict)

    def take(self, message: dict[str, Any], now_s: float, track: str) -> None:
        """Note one message; those about other tracks of the meeting do not count."""
        kind = message.get("event_type")
        if kind == "error":
            self.errors.append(str(message.get("code")))
        if message.get("track") != track:
            return
        if kind == "audio.ack":
            self.acked_frame = max(self.acked_frame, int(message["frame"]))
        if kind in ("transcript.partial", "transcript.update", "transcript.retract"):
            self._take_caption(message, now_s, durable=kind != "transcript.partial")

    def _take_caption(self, message: dict[str, Any], now_s: float, *, durable: bool) -> None:
        segment_id = str(message["segment_id"])
        words = tuple((w["text"], w["start"], w["end"]) for w in message.get("words", ()))
        self.captions.append((now_s, segment_id, words, durable))
        if durable:
            self.last_commit_s = now_s
            self._pending.pop(segment_id, None)
        else:
            self._pending[segment_id] = len(words) - int(message.get("committed", 0))

    def is_settled(self, now_s: float) -> bool:
        """Whether every word that was shown stands, and nothing has come for a while."""
        quiet_since_s = self.captions[-1][0] if self.captions else 0.0
        return not any(self._pending.values()) and now_s - quiet_since_s >= QUIET_S

    def since(self, start_s: float) -> list[Caption]:
        """Return the captions with their times counted from the first sample."""
        return [
            Caption(at_s - start_s, segment_id, timed(words), durable)
            for at_s, segment_id, words, durable in self.captions
        ]


@contextlib.asynccontextmanager
async def open_stream(
    http: aiohttp.ClientSession, address: str, meeting_id: str, track: str
) -> AsyncIterator[Stream]:
    """Connect a stream and read its socket until the block ends. Raises `StreamRefused`."""
    url = address.replace("http", "ws", 1) + "/v1/ws"
    try:
        socket = await http.ws_connect(url, max_msg_size=0)
    except aiohttp.WSServerHandshakeError as error:
        message = f"{url} was answered with {error.status}"
        raise StreamRefused(message) from error
    stream = Stream(socket, meeting_id, track)
    reading = asyncio.create_task(stream.read())
    try:
        yield stream
    finally:
        reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reading
        await socket.close()


class Stream:
    """A socket with one track."""

    def __init__(
        self, socket: aiohttp.ClientWebSocketResponse, meeting_id: str, track: str
    ) -> None:
        self._socket = socket
        self._meeting_id = meeting_id
        self._track = track
        self._answers: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._closed = asyncio.Event()
        self._next_frame = 0
        self.log = Log()
        self.first_frame_s = 0.0
        self.most_late_s = 0.0
        """How long after its moment a frame was handed to the socket, at worst."""

    async def start(self, language: str | None) -> None:
        """Begin the session. Raises `StreamRefused`."""
        answer = await self._ask("session.start", "session.ready", language=language)
        self._next_frame = int(answer["next_frame"])

    async def speak(self, samples: Samples, begin_s: float) -> None:
        """Send the samples from `begin_s` of the monotonic clock on, then silence until settled.

        The schedule is fixed: a frame is due when its last sample has been spoken, however slow the
        service is.
        """
        self.first_frame_s = begin_s
        body = samples.tobytes()
        frames = [
            body[at : at + FRAME_BYTES].ljust(FRAME_BYTES, b"\0")
            for at in range(0, len(body), FRAME_BYTES)
        ]
        for number, frame in enumerate(frames):
            await self._send(number, frame, begin_s)
        number = len(frames)
        end_s = begin_s + number * FRAME_S
        while not self._closed.is_set():
            spent_s = time.monotonic() - end_s
            enough = spent_s >= QUIET_S and self.log.is_settled(time.monotonic())
            if enough or spent_s >= LONGEST_TAIL_S:
                return
            await self._send(number, SILENT_FRAME, begin_s)
            number += 1

    async def stop(self) -> None:
        """End the session; the meeting stays open."""
        await self._ask("session.stop", "session.stopped")

    async def finish(self) -> None:
        """Ask for the meeting to be finished."""
        await self._tell("meeting.finish")

    async def _send(self, number: int, frame: bytes, begin_s: float) -> None:
        wait_s = begin_s + (number + 1) * FRAME_S - time.monotonic()
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        if self._closed.is_set():
            return
        await self._socket.send_bytes((self._next_frame + number).to_bytes(8, "big") + frame)
        late_s = time.monotonic() - begin_s - (number + 1) * FRAME_S
        self.most_late_s = max(self.most_late_s, late_s)

    async def _ask(self, event_type: str, answer_type: str, **fields: Any) -> dict[str, Any]:
        """Send a message and return its answer. Raises `StreamRefused` for an error."""
        await self._tell(event_type, **fields)
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                while True:
                    answer = await self._answers.get()
                    if answer["event_type"] == "error":
                        raise StreamRefused(str(answer.get("code")))
                    if answer["event_type"] == answer_type:
                        return answer
        except TimeoutError:
            message = f"no {answer_type} within {ANSWER_TIMEOUT_S:.0f} s"
            raise StreamRefused(message) from None

    async def _tell(self, event_type: str, **fields: Any) -> None:
        message = {
            "schema_version": "v1",
            "event_type": event_type,
            "meeting_id": self._meeting_id,
            "track": self._track,
            **fields,
        }
        if event_type == "session.start":
            message |= {"codec": "pcm_s16le", "sample_rate": SAMPLE_RATE, "channels": 1}
            message["partials"] = True
        await self._socket.send_str(json.dumps(message))

    async def read(self) -> None:
        """Note all messages until the other side closes."""
        async for message in self._socket:
            if message.type is not aiohttp.WSMsgType.TEXT:
                continue
            now_s = time.monotonic()
            content = json.loads(message.data)
            self.log.take(content, now_s, self._track)
            if content.get("event_type") in ("session.ready", "session.stopped", "error"):
                self._answers.put_nowait(content)
        self._closed.set()
        self.log.errors.append(f"closed with {self._socket.close_code}")
