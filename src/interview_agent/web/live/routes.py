"""The two paths of the WebSocket front."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from aiohttp import web

from interview_agent.domain.errors import AgentError
from interview_agent.domain.identity import Kind
from interview_agent.web.live.connection import Connection
from interview_agent.web.live.handshake import SUBPROTOCOL, admit
from interview_agent.web.live.sockets import SOCKETS
from interview_agent.web.parts import PARTS
from interview_agent.web.route import TRACE_ID

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

PATH_BY_CONTOUR = {Kind.USER: "/v1/ws", Kind.SERVICE: "/v1/ws/internal"}

_log = structlog.get_logger(__name__)


def _serving(contour: Kind) -> Handler:
    async def serve(request: web.Request) -> web.StreamResponse:
        parts, sockets = request.app[PARTS], request.app[SOCKETS]
        limits = parts.sockets
        try:
            caller = await admit(
                request,
                contour=contour,
                authenticator=parts.authenticator,
                origins=limits.origins,
            )
        except AgentError as error:
            _log.info("socket_denied", code=error.code, contour=contour.value)
            raise
        with sockets.place(contour):
            socket = web.WebSocketResponse(
                protocols=(SUBPROTOCOL,),
                timeout=limits.patience.close_s,
                # Pings are answered by our own writer, so that floods of them are seen.
                autoping=False,
                compress=False,
                # The framework refuses a message of just this size as well.
                max_msg_size=limits.max_message_bytes + 1,
                # Each write waits while the client does not read.
                writer_limit=0,
            )
            await socket.prepare(request)
            transport = request.transport
            if transport is not None:
                connection = Connection(
                    socket, transport, parts, caller, sockets.leaving, request[TRACE_ID]
                )
                await connection.serve()
        return socket

    return serve


def register_sockets(app: web.Application) -> None:
    """Serve both contours, and make every socket leave when the application stops."""

    async def close_all(app: web.Application) -> None:
        await app[SOCKETS].close()

    for contour, path in PATH_BY_CONTOUR.items():
        app.router.add_get(path, _serving(contour), allow_head=False)
    app.on_shutdown.append(close_all)
