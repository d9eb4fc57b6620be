"""What a gateway can do wrong, one request after the other."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from aiohttp import web

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping

Kind = Literal[
    "slow",
    "status",
    "hang",
    "reset",
    "lost_reply",
    "cut",
    "truncated",
    "not_object",
    "html",
    "compressed",
    "redirect",
    "endless",
]
EVERY_CALL = "*"

_BODIES = {
    "not_object": ("[1, 2, 3]", "application/json"),
    "truncated": ('{"chunks": [{"id": "c', "application/json"),
    "html": ("<html>Sign in</html>", "text/html"),
}


@dataclass
class Fault:
    """What happens to the next `times` requests (0: to all), each after `delay_s`.

    `slow` answers rightly; `status` answers with an error; `hang` never answers; `reset` breaks
    the connection and `lost_reply` does so after it has obeyed; `cut` breaks it within the body;
    `truncated` sends half of the JSON; `redirect` names `location`; `endless` never ends its body.
    """

    kind: Kind = "slow"
    times: int = 1
    delay_s: float = 0.0
    status: int = 500
    code: str = "internal"
    headers: Mapping[str, str] = field(default_factory=dict)
    retry_after_sec: float | None = None
    location: str = "http://127.0.0.1:1/trap"


class Faults:
    """What is still to go wrong, by call; `*` goes wrong with any."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[Fault]] = {}

    def add(self, call: str, *faults: Fault) -> None:
        """Let faults happen to a call, in this order, after those that wait."""
        self._waiting.setdefault(call, deque()).extend(faults)

    def clear(self) -> None:
        """Let nothing go wrong any more."""
        self._waiting.clear()

    def take(self, call: str) -> Fault | None:
        """Return what is to happen to a request."""
        for waiting in (self._waiting.get(call), self._waiting.get(EVERY_CALL)):
            if waiting:
                fault = waiting[0]
                fault.times -= 1
                if fault.times == 0:
                    waiting.popleft()
                return fault
        return None


def error_body(code: str, retry_after_sec: float | None = None) -> dict[str, object]:
    """Return the body of an error."""
    return {"error": {"code": code, "message": code, "retry_after_sec": retry_after_sec}}


def break_off(request: web.Request) -> web.Response:
    """Break the connection; what is returned is never sent."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


async def wrong_answer(
    fault: Fault, request: web.Request, closing: asyncio.Event
) -> web.StreamResponse:
    """Answer as a fault wants it, without having done anything."""
    match fault.kind:
        case "hang":
            await closing.wait()
            return break_off(request)
        case "reset":
            return break_off(request)
        case "endless":
            return await _endless(request, closing)
        case _:
            return _plain_answer(fault)


async def cut_answer(request: web.Request, document: object) -> web.StreamResponse:
    """Send half of an answer, then break the connection."""
    body = json.dumps(document).encode()
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.content_length = len(body)
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    break_off(request)
    return response


def _plain_answer(fault: Fault) -> web.Response:
    if fault.kind in _BODIES:
        text, content_type = _BODIES[fault.kind]
        return web.Response(text=text, content_type=content_type)
    if fault.kind == "redirect":
        return web.Response(status=302, headers={"Location": fault.location})
    if fault.kind == "compressed":
        response = web.json_response({"padding": " " * 2**20})
        response.enable_compression(web.ContentCoding.gzip)
        return response
    body = error_body(fault.code, fault.retry_after_sec)
    return web.json_response(body, status=fault.status, headers=dict(fault.headers))


async def _endless(request: web.Request, closing: asyncio.Event) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    try:
        await response.write(b'{"chunks": [')
        while not closing.is_set():
            await response.write(b" " * 2**16)
    except ConnectionError:
        pass
    return response
