"""Binding an application to an address, for clients that may be slow, broken or hostile."""

from __future__ import annotations

import asyncio
import errno
import json
from typing import TYPE_CHECKING, Any

import structlog
from aiohttp import web

from interview_agent.domain.errors import StartupError
from interview_agent.web.errors import envelope, internal_answer
from interview_agent.web.proxies import UNKNOWN, Proxies, neighbourhood
from interview_agent.web.rates import RETRY_PLACE_S, Places
from interview_agent.web.route import json_response

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

_SHUTDOWN_TIMEOUT_S = 5.0
_KEEPALIVE_TIMEOUT_S = 75.0
_LINGERING_S = 5.0
"""How long the rest of a refused body is read, so that its sender gets to see the answer."""
HEADER_TIMEOUT_S = 10.0
MAX_CONNECTIONS_PER_ADDRESS = 1000

_log = structlog.get_logger(__name__)


_TOO_MANY_BODY = json.dumps(
    envelope("rate_limited", "Too many connections are open from this address.")
)
_TOO_MANY = (
    "HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/json; charset=utf-8\r\n"
    f"Content-Length: {len(_TOO_MANY_BODY)}\r\nRetry-After: {RETRY_PLACE_S}\r\n"
    "X-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"
    f"{_TOO_MANY_BODY}"
).encode()


class Crowd:
    """Counts the connections of each address, `most` of them; of trusted proxies, any number."""

    def __init__(self, most: int, proxies: Proxies) -> None:
        self._places = Places(most)
        self._proxies = proxies

    def enter(self, address: str) -> bool:
        """Count one more; false when there is no place."""
        return self._proxies.trusts(address) or self._places.enter(neighbourhood(address))

    def leave(self, address: str) -> None:
        """Count one less."""
        if not self._proxies.trusts(address):
            self._places.leave(neighbourhood(address))


class _Connection(web.RequestHandler):
    """A connection that ends if no request comes, and answers broken ones with our envelope."""

    __slots__ = ("_address", "_crowd", "_patience")

    def __init__(self, *args: Any, crowd: Crowd, **options: Any) -> None:
        super().__init__(*args, **options)
        self._crowd = crowd
        self._address: str | None = None
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a place among the connections of an address, or end the connection."""
        super().connection_made(transport)
        peer = transport.get_extra_info("peername")
        address = str(peer[0]) if isinstance(peer, tuple) else UNKNOWN
        if self._crowd.enter(address):
            self._address = address
            return
        if isinstance(transport, asyncio.Transport):
            transport.write(_TOO_MANY)
        self.force_close()

    def wait_for_header(self, timeout_s: float) -> None:
        """Close the connection unless `header_came` is called in time."""
        self._patience = asyncio.get_running_loop().call_later(timeout_s, self.force_close)

    def header_came(self) -> None:
        """Note that a whole header arrived; from then on the keep-alive time is the bound."""
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget the timer, and give up the place, with the connection."""
        self.header_came()
        if self._address is not None:
            self._crowd.leave(self._address)
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what never became a request, or whose answer failed; always ends the connection.

        Raises `ConnectionError` if an answer is already on its way.
        """
        if status >= 500:
            _log.error("request_failed", exc_info=exc)
        else:
            _log.info("request_malformed", status=status, reason=type(exc).__name__)
        if request.writer.output_size > 0:
            message = "an answer is already on its way"
            raise ConnectionError(message)
        broken = envelope("bad_request", "The request is not valid HTTP.")
        response = internal_answer() if status >= 500 else json_response(broken, status)
        # Without one of ours the framework would send its own, with versions.
        response.headers["Server"] = "interview-agent"
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Cache-Control"] = "no-store"
        response.force_close()
        return response


class _Server(web.Server):
    """Makes such connections."""

    def __init__(
        self, inner: web.Server, *, header_timeout_s: float, crowd: Crowd, **options: Any
    ) -> None:
        super().__init__(
            inner.request_handler,
            request_factory=self._announced,
            handler_cancellation=inner.handler_cancellation,
            **options,
        )
        self._inner_factory = inner.request_factory
        self._header_timeout_s = header_timeout_s
        self._crowd = crowd
        self._options = options

    def _announced(self, message: Any, payload: Any, protocol: Any, *rest: Any) -> web.BaseRequest:
        if isinstance(protocol, _Connection):
            protocol.header_came()
        return self._inner_factory(message, payload, protocol, *rest)

    def __call__(self) -> web.RequestHandler:
        loop = asyncio.get_running_loop()
        connection = _Connection(self, crowd=self._crowd, loop=loop, **self._options)
        connection.wait_for_header(self._header_timeout_s)
        return connection


class _Runner(web.AppRunner):
    """Runs an application on such a server."""

    __slots__ = ("_crowd", "_header_timeout_s")

    def __init__(
        self, app: web.Application, *, header_timeout_s: float, crowd: Crowd, **options: Any
    ) -> None:
        super().__init__(app, **options)
        self._header_timeout_s = header_timeout_s
        self._crowd = crowd

    async def _make_server(self) -> web.Server:
        inner = await super()._make_server()
        return _Server(
            inner, header_timeout_s=self._header_timeout_s, crowd=self._crowd, **self._kwargs
        )


async def listen(
    app: web.Application,
    stack: AsyncExitStack,
    *,
    host: str,
    port: int,
    header_timeout_s: float = HEADER_TIMEOUT_S,
    max_connections_per_address: int = MAX_CONNECTIONS_PER_ADDRESS,
    proxies: Proxies | None = None,
) -> str:
    """Serve `app` until `stack` closes and return its address; port 0 takes a free one.

    A connection on which no whole request header came within `header_timeout_s` is closed, and at
    once one that is too many for its address, unless `proxies` trusts that. Raises `StartupError`
    when the address cannot be had.
    """
    runner = _Runner(
        app,
        header_timeout_s=header_timeout_s,
        crowd=Crowd(max_connections_per_address, proxies or Proxies()),
        access_log=None,
        handle_signals=False,
        shutdown_timeout=_SHUTDOWN_TIMEOUT_S,
        keepalive_timeout=_KEEPALIVE_TIMEOUT_S,
        lingering_time=_LINGERING_S,
        # Compressed bodies are refused, so nothing may unpack them before that.
        auto_decompress=False,
    )
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            message = f"port {port} of {host} is in use; stop what listens there or set another"
        else:
            message = f"cannot listen on {host}, port {port}: {error.strerror}"
        raise StartupError(message) from error
    bound = runner.addresses[0]
    shown = f"[{bound[0]}]" if ":" in bound[0] else bound[0]
    return f"http://{shown}:{bound[1]}"
