"""A small server of the live protocol that keeps everything in memory and breaks as it is told."""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
from collections import deque
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@dataclass
class StandIn:
    """One meeting with one track.

    Until they are used up, `denials` answer handshakes and `openings` answer `session.start` and
    `session.resume`. A connection breaks after the frames of `cut_after` are durable, before their
    acks; `acking` holds acks back while it is clear.
    """

    address: str = ""
    max_in_flight: int = 4
    max_frame_bytes: int = 1024
    frames: list[bytes] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    received: list[dict[str, Any]] = field(default_factory=list)
    denials: deque[tuple[int, dict[str, str]]] = field(default_factory=deque)
    openings: deque[dict[str, Any]] = field(default_factory=deque)
    cut_after: set[int] = field(default_factory=set)
    acking: asyncio.Event = field(default_factory=asyncio.Event)
    most_unacknowledged: int = 0
    sockets: set[web.WebSocketResponse] = field(default_factory=set)
    _acknowledged: int = 0

    def of_type(self, event_type: str) -> list[dict[str, Any]]:
        """Return what was received of a kind."""
        return [each for each in self.received if each["event_type"] == event_type]

    async def publish(self, event_type: str = "transcript.update", **fields: Any) -> None:
        """Log one more event and send it to everybody."""
        event = {"event_type": event_type, "event": len(self.events) + 1, **fields}
        self.events.append(event)
        await self.tell(event)

    async def tell(self, message: dict[str, Any]) -> None:
        """Send a message to everybody."""
        for socket in list(self.sockets):
            with contextlib.suppress(ConnectionError):
                await socket.send_json(message)

    async def close(self, code: int, reason: bytes = b"") -> None:
        """Close every connection as a server does."""
        for socket in list(self.sockets):
            await socket.close(code=code, message=reason)

    def cut(self) -> None:
        """Break every connection."""
        for socket in self.sockets:
            _abort(socket)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection."""
        if self.denials:
            status, headers = self.denials.popleft()
            return web.json_response({"detail": {}}, status=status, headers=headers)
        socket = web.WebSocketResponse(protocols=("interview-agent.v1",))
        await socket.prepare(request)
        async for received in socket:
            if received.type is WSMsgType.BINARY:
                await self._frame(socket, received.data)
            else:
                await self._message(socket, json.loads(received.data))
        self.sockets.discard(socket)
        return socket

    async def _frame(self, socket: web.WebSocketResponse, body: bytes) -> None:
        (number,) = struct.unpack(">Q", body[:8])
        if number != len(self.frames):
            code = "frame_gap" if number > len(self.frames) else "frame_repeated"
            await socket.send_json({"event_type": "error", "code": code, "retryable": False})
            return
        self.frames.append(body[8:])
        self.most_unacknowledged = max(
            self.most_unacknowledged, len(self.frames) - self._acknowledged
        )
        if number in self.cut_after:
            self.cut_after.discard(number)
            _abort(socket)
        elif self.acking.is_set():
            await self.acknowledge()

    async def acknowledge(self) -> None:
        """Acknowledge everything that is durable."""
        first, last = self._acknowledged, len(self.frames) - 1
        self._acknowledged = len(self.frames)
        await self.tell(
            {"event_type": "audio.ack", "track": "main", "first_frame": first, "frame": last}
        )

    async def _message(self, socket: web.WebSocketResponse, message: dict[str, Any]) -> None:
        self.received.append(message)
        match message["event_type"]:
            case "session.start" | "session.resume":
                if self.openings:
                    await socket.send_json(self.openings.popleft())
                    return
                self._acknowledged = len(self.frames)
                ready = {
                    "event_type": "session.ready",
                    "next_frame": len(self.frames),
                    "max_in_flight": self.max_in_flight,
                    "max_frame_bytes": self.max_frame_bytes,
                    "last_event": len(self.events),
                }
                await socket.send_json(ready)
                await self._subscribe(socket, message)
            case "session.subscribe":
                await self._subscribe(socket, message)
            case "session.stop":
                await socket.send_json({"event_type": "session.stopped", "track": "main"})

    async def _subscribe(self, socket: web.WebSocketResponse, message: dict[str, Any]) -> None:
        self.sockets.add(socket)
        for event in self.events[message.get("last_event", len(self.events)) :]:
            await socket.send_json(event)


def _abort(socket: web.WebSocketResponse) -> None:
    transport = socket._req.transport if socket._req is not None else None
    if transport is not None:
        transport.abort()


@asynccontextmanager
async def standing_in() -> AsyncIterator[StandIn]:
    """Serve a stand-in on a free port of this machine."""
    stand_in = StandIn()
    stand_in.acking.set()
    app = web.Application()
    app.router.add_get("/v1/ws", stand_in.handle)
    server = TestServer(app)
    await server.start_server()
    stand_in.address = str(server.make_url("/"))
    try:
        yield stand_in
    finally:
        with contextlib.suppress(ConnectionError):
            stand_in.cut()
        await server.close()
