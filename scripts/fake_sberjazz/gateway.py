"""The gateway as an HTTP application; everything it does is in its journal."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import web

from fake_sberjazz.faults import Fault, Faults, break_off, cut_answer, error_body, wrong_answer
from fake_sberjazz.knobs import add_knobs
from fake_sberjazz.rooms import Bot, Room, session_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from ssl import SSLContext

    from fake_sberjazz.voices import Voice

CAPACITY = 100
MAX_LIMIT = 1000


@dataclass
class Request:
    """One request as it came; `call` is the last segment of its path, `status` our answer."""

    at_s: float
    call: str
    meeting_id: str | None
    query: dict[str, str]
    key: str | None
    body: dict[str, Any] = field(repr=False)
    authorization: str | None = field(repr=False)
    status: int | None = None


class FakeGateway:
    """A gateway in this process.

    `old` speaks the original paths alone, without sessions, participants and keys. Without
    `keeps_keys` every join sends a bot. `repeats` and `reverses` spoil the pages of sound.
    """

    def __init__(self, voices: Sequence[Voice] = (), *, token: str | None = None) -> None:
        self.address = ""
        self.voices = voices
        self.token = token
        self.old = False
        self.keeps_keys = True
        self.join_state = "active"
        self.health_status = "ok"
        self.repeats = 0
        self.reverses = False
        self.pace = 1.0
        self.faults = Faults()
        self.journal: list[Request] = []
        self.closing = asyncio.Event()
        self._rooms: dict[str, Room] = {}

    def room(self, meeting_id: str) -> Room:
        """Return a meeting, which begins to exist when it is asked for."""
        if meeting_id not in self._rooms:
            self._rooms[meeting_id] = Room(meeting_id, self.voices, pace=self.pace)
        return self._rooms[meeting_id]

    def break_next(self, call: str, *faults: Fault) -> None:
        """Let the next requests of a call (`join`, `live-chunks`, …, `*`) go wrong."""
        self.faults.add(call, *faults)

    def bots(self, meeting_id: str | None = None) -> list[Bot]:
        """Return all bots that were ever sent, of one meeting or of all."""
        rooms = self._rooms.values() if meeting_id is None else [self.room(meeting_id)]
        return [bot for room in rooms for bot in room.bots]

    def active_bots(self, meeting_id: str | None = None) -> list[Bot]:
        """Return the bots that are in a room or on their way."""
        return [bot for bot in self.bots(meeting_id) if bot.alive]

    def calls(self, call: str, meeting_id: str | None = None) -> list[Request]:
        """Return the requests of one call, in order."""
        return [
            each
            for each in self.journal
            if each.call == call and meeting_id in {None, each.meeting_id}
        ]

    def application(self) -> web.Application:
        """Return the application, with the knobs at `/_fake`."""
        application = web.Application()
        meetings = "/api/v1/meetings/{meeting_id}"
        application.add_routes(
            [
                web.get("/api/v1/health", self._door("health", self._health)),
                web.post(f"{meetings}/join", self._door("join", self._join)),
                web.post(f"{meetings}/leave", self._door("leave", self._leave)),
                web.get(f"{meetings}/session", self._door("session", self._session)),
                web.get(f"{meetings}/live-chunks", self._door("live-chunks", self._live_chunks)),
                web.get(f"{meetings}/recording", self._door("recording", self._recording)),
            ]
        )
        add_knobs(application, self)
        # What follows a redirect comes to light.
        application.router.add_route("*", "/{other:.*}", self._door("other", self._other))
        return application

    def _door(
        self, call: str, handle: Callable[[web.Request, Request], Any]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(request: web.Request) -> web.StreamResponse:
            noted = await _note(request, call)
            self.journal.append(noted)
            fault = self.faults.take(call)
            if fault is not None and fault.delay_s:
                await asyncio.sleep(fault.delay_s)
            response = await self._answer(request, noted, fault, handle)
            noted.status = response.status
            return response

        return answer

    async def _answer(
        self,
        request: web.Request,
        noted: Request,
        fault: Fault | None,
        handle: Callable[[web.Request, Request], Any],
    ) -> web.StreamResponse:
        if fault is not None and fault.kind not in {"slow", "lost_reply", "cut"}:
            return await wrong_answer(fault, request, self.closing)
        if self.token is not None and noted.authorization != f"Bearer {self.token}":
            return web.json_response(error_body("unauthorized"), status=401)
        status, document = handle(request, noted)
        if fault is not None and fault.kind == "lost_reply":
            return break_off(request)
        if fault is not None and fault.kind == "cut":
            return await cut_answer(request, document)
        return web.json_response(document, status=status)

    def _health(self, _: web.Request, __: Request) -> tuple[int, dict[str, Any]]:
        if self.old:
            return 200, {}
        used = len(self.active_bots())
        return 200, {
            "status": self.health_status,
            "version": "1.0.0",
            "mode": "fake",
            "capacity": {"used": used, "max": CAPACITY},
        }

    def _join(self, request: web.Request, noted: Request) -> tuple[int, dict[str, Any]]:
        room = self.room(request.match_info["meeting_id"])
        if not self.old and noted.key is None:
            return 400, error_body("idempotency_key_missing")
        bot = self._bot_of_order(room, noted.key)
        if bot is None:
            bot = room.send_bot(noted.key, noted.body, self.join_state)
        if self.old:
            return 200, {"participants": [each["name"] for each in room.people()], "language": "ru"}
        return 202, session_of(room, bot)

    def _bot_of_order(self, room: Room, key: str | None) -> Bot | None:
        if not self.keeps_keys:
            return None
        for bot in room.bots:
            if not self.old and bot.key == key:
                return bot
        return room.bot if room.bot is not None and room.bot.alive else None

    def _leave(self, request: web.Request, _: Request) -> tuple[int, dict[str, Any]]:
        room = self.room(request.match_info["meeting_id"])
        room.put("ended", "left")
        if self.old or room.bot is None:
            return 200, {}
        return 200, session_of(room, room.bot)

    def _session(self, request: web.Request, _: Request) -> tuple[int, dict[str, Any]]:
        if self.old:
            return 404, {"detail": "Not Found"}
        room = self.room(request.match_info["meeting_id"])
        if room.bot is None:
            return 404, error_body("no_session")
        return 200, session_of(room, room.bot)

    def _live_chunks(self, request: web.Request, noted: Request) -> tuple[int, dict[str, Any]]:
        limit = noted.query.get("limit", "20")
        if not limit.isdecimal() or not 1 <= int(limit) <= MAX_LIMIT:
            return 400, error_body("bad_request")
        room = self.room(request.match_info["meeting_id"])
        if not room.bots and not self.old:
            return 404, error_body("no_session")
        page = room.page(noted.query.get("cursor"), int(limit), repeats=self.repeats)
        if self.reverses:
            page["chunks"].reverse()
        if self.old:
            page["chunks"] = [_bare(chunk) for chunk in page["chunks"]]
        return 200, page

    def _recording(self, _: web.Request, __: Request) -> tuple[int, dict[str, Any]]:
        return 404, error_body("not_ready")

    def _other(self, _: web.Request, __: Request) -> tuple[int, dict[str, Any]]:
        return 404, error_body("not_found")


def _bare(chunk: dict[str, Any]) -> dict[str, Any]:
    return {
        "chunk_id": chunk["id"],
        "seq": str(chunk["seq"]),
        "content_b64": chunk["content_b64"],
    }


async def _note(request: web.Request, call: str) -> Request:
    try:
        body = json.loads(await request.read() or b"{}")
    except ValueError:
        body = {}
    return Request(
        at_s=time.monotonic(),
        call=call,
        meeting_id=request.match_info.get("meeting_id"),
        query=dict(request.query),
        key=request.headers.get("Idempotency-Key"),
        body=body if isinstance(body, dict) else {},
        authorization=request.headers.get("Authorization"),
    )


@asynccontextmanager
async def serve(
    gateway: FakeGateway,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    tls: SSLContext | None = None,
) -> AsyncIterator[FakeGateway]:
    """Serve a gateway, by default on a free port of this machine; `address` says where."""
    runner = web.AppRunner(gateway.application(), handle_signals=False, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, host, port, ssl_context=tls)
    await site.start()
    gateway.address = f"{'https' if tls else 'http'}://{host}:{runner.addresses[0][1]}"
    try:
        yield gateway
    finally:
        gateway.closing.set()
        await runner.cleanup()
