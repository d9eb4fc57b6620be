"""The two paths of the WebSocket front."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web

from interview_agent.domain.identity import Kind
from interview_agent.domain.policy import Need
from interview_agent.web.live.connection import Connection
from interview_agent.web.live.escort import Escort
from interview_agent.web.live.handshake import SUBPROTOCOL, admit
from interview_agent.web.live.sockets import SOCKETS
from interview_agent.web.parts import GATE, PARTS
from interview_agent.web.route import TRACE_ID

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

METHOD = "WS"
"""How the audit trail calls what happens on sockets."""


@dataclass(frozen=True, slots=True)
class SocketRoute:
    """A path that is upgraded to a WebSocket, and what opening it needs."""

    path: str
    contour: Kind
    need: Need


SOCKET_ROUTES = (
    SocketRoute("/v1/ws", Kind.USER, Need.SOCKET_USER),
    SocketRoute("/v1/ws/internal", Kind.SERVICE, Need.SOCKET_INTERNAL),
)


def _serving(route: SocketRoute) -> Handler:
    async def serve(request: web.Request) -> web.StreamResponse:
        parts, sockets, gate = request.app[PARTS], request.app[SOCKETS], request.app[GATE]
        limits = parts.sockets
        visit = gate.visit(request, method=METHOD)
        with ExitStack() as place:
            with gate.watch(request, visit):
                caller = await admit(request, visit, route.need, gate=gate, origins=parts.origins)
                place.enter_context(gate.holding(visit))
            place.enter_context(sockets.place(route.contour))
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
                escort = Escort(gate, visit, caller, route.contour)
                connection = Connection(
                    socket, transport, parts, escort, sockets.leaving, request[TRACE_ID]
                )
                await connection.serve()
        return socket

    return serve


def register_sockets(app: web.Application) -> None:
    """Serve both contours, and make every socket leave when the application stops."""

    async def close_all(app: web.Application) -> None:
        await app[SOCKETS].close()

    for route in SOCKET_ROUTES:
        app.router.add_get(route.path, _serving(route), allow_head=False)
    app.on_shutdown.append(close_all)
