"""Server-sent events to a listener that may be slow, silent or gone."""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import structlog
from aiohttp import web

from interview_agent.domain.errors import AgentError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from interview_agent.web.parts import StreamTimes

MEDIA_TYPE = "text/event-stream"
HEADERS = {
    "Content-Type": f"{MEDIA_TYPE}; charset=utf-8",
    # Proxies of one family hold answers back unless they are told not to.
    "X-Accel-Buffering": "no",
}
_HEARTBEAT = b": still here\n\n"
_UNANSWERED_MS = 45_000

_log = structlog.get_logger(__name__)

STOPPING = web.AppKey("STOPPING", asyncio.Event)
"""Key of the event that ends all streams, set when the application stops."""


def event_text(content: Mapping[str, Any], *, event_type: str, event_id: int | None) -> bytes:
    """Return one event in the form of the wire."""
    data = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    head = "" if event_id is None else f"id: {event_id}\n"
    return f"{head}event: {event_type}\ndata: {data}\n\n".encode()


async def send_events(
    request: web.Request,
    events: AsyncIterator[bytes],
    times: StreamTimes,
    lapsed: Callable[[], str | None],
) -> web.StreamResponse:
    """Send events until they end, the listener leaves or does not read, or the process stops.

    `lapsed` says why the listener may not listen any more, None while they may.
    """
    response = web.StreamResponse(headers=HEADERS)
    await response.prepare(request)
    _notice_silence(request)
    try:
        await _pump(request, response, events, times, lapsed)
    except TimeoutError:
        _log.info("listener_too_slow")
        if request.transport is not None:
            request.transport.abort()
    except ConnectionError:
        _log.debug("listener_left")
    except AgentError as error:
        # The answer has begun; whoever asks again is told what is wrong.
        _log.info("stream_ended", code=error.code)
    return response


async def _pump(
    request: web.Request,
    response: web.StreamResponse,
    events: AsyncIterator[bytes],
    times: StreamTimes,
    lapsed: Callable[[], str | None],
) -> None:
    stopping = asyncio.ensure_future(_stop(request.app[STOPPING], lapsed, times.recheck_s))
    following = asyncio.ensure_future(anext(events, None))
    try:
        while not stopping.done():
            await asyncio.wait(
                {stopping, following},
                timeout=times.heartbeat_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
            text = following.result() if following.done() else _HEARTBEAT
            if text is None:
                return
            if following.done():
                following = asyncio.ensure_future(anext(events, None))
            async with asyncio.timeout(times.patience_s):
                await response.write(text)
                # What the listener does not read waits with whoever has it, not here.
                await request.writer.drain()
    finally:
        stopping.cancel()
        following.cancel()
        await asyncio.gather(stopping, following, return_exceptions=True)


async def _stop(
    process_stops: asyncio.Event, lapsed: Callable[[], str | None], recheck_s: float
) -> None:
    """Return when the stream has to end."""
    while (reason := lapsed()) is None:
        with suppress(TimeoutError):
            async with asyncio.timeout(recheck_s):
                await process_stops.wait()
                return
    _log.info("stream_ended", code=reason)


def _notice_silence(request: web.Request) -> None:
    """Let the system end a connection whose other side answers to nothing."""
    connection = request.get_extra_info("socket")
    if connection is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNANSWERED_MS)


def end_streams_on_shutdown(app: web.Application) -> None:
    """Make every event stream of the application end when it stops."""
    app[STOPPING] = asyncio.Event()

    async def stop(app: web.Application) -> None:
        app[STOPPING].set()

    app.on_shutdown.append(stop)
