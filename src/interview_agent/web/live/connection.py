"""One open socket, from its upgrade to its close."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

import structlog
from aiohttp import WebSocketError, WSCloseCode, WSMsgType

from interview_agent.metrics import SOCKET_CLOSES, SOCKET_MESSAGES
from interview_agent.web.live.dialogue import Dialogue
from interview_agent.web.live.outbox import Outbox
from interview_agent.web.live.parting import Parted, gone

if TYPE_CHECKING:
    from aiohttp import WSMessage, web

    from interview_agent.web.live.escort import Escort
    from interview_agent.web.parts import WebParts

_ENDS = frozenset({WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR})

_log = structlog.get_logger(__name__)


class Connection:
    """Reads one message at a time and writes through one outbox, until something ends it.

    `leaving` is set when the process stops. `transport` is what the socket runs on.
    """

    def __init__(
        self,
        socket: web.WebSocketResponse,
        transport: asyncio.Transport,
        parts: WebParts,
        escort: Escort,
        leaving: asyncio.Event,
        trace_id: str,
    ) -> None:
        self._socket = socket
        self._transport = transport
        self._parts = parts
        self._escort = escort
        self._leaving = leaving
        self._trace_id = trace_id
        self._patience = parts.sockets.patience
        self._clock = time.monotonic
        self._outbox = Outbox(socket.send_frame, send_timeout_s=self._patience.send_s)
        self._handling = asyncio.Lock()
        self._greeted = False

    async def serve(self) -> None:
        """Talk to the client until the socket is closed."""
        started_at = self._clock()
        dialogue: Dialogue | None = None
        parting = gone()
        try:
            async with asyncio.TaskGroup() as group:
                dialogue = Dialogue(
                    self._parts,
                    self._escort,
                    self._outbox,
                    group.create_task,
                    trace_id=self._trace_id,
                    clock=self._clock,
                )
                group.create_task(self._outbox.run())
                group.create_task(self._watch(dialogue))
                group.create_task(self._leave_when_told())
                await self._read(dialogue)
        except* Parted as parted:
            parting = _first(parted)
        except* Exception:  # noqa: BLE001 - one broken socket is logged and must not be silent
            _log.exception("socket_failed")
            parting = Parted(WSCloseCode.INTERNAL_ERROR, "internal")
        if dialogue is not None:
            await self._say_farewell(dialogue, parting)
        self._parts.probes.metrics.count(SOCKET_CLOSES, code=parting.code_label)
        _log.info(
            "socket_ended",
            code=parting.code,
            reason=parting.reason,
            subject=self._escort.caller.subject,
            contour=self._escort.caller.kind.value,
            open_s=round(self._clock() - started_at, 1),
        )
        await self._close(parting)

    async def _read(self, dialogue: Dialogue) -> NoReturn:
        while True:
            # Who does not read the answers is not asked for more.
            await self._outbox.room()
            message = await self._received()
            async with self._handling:
                await self._handle(dialogue, message)

    async def _received(self) -> WSMessage:
        try:
            # Only waiting counts: a client that we keep waiting cannot show any life.
            async with asyncio.timeout(self._patience.silence_s):
                message: WSMessage = await self._socket.receive()
        except TimeoutError:
            raise Parted(WSCloseCode.POLICY_VIOLATION, "no sign of life") from None
        if message.type is WSMsgType.ERROR and isinstance(message.data, WebSocketError):
            raise Parted(message.data.code, "the client broke the protocol")
        if message.type in _ENDS:
            raise gone(self._socket.close_code)
        return message

    async def _handle(self, dialogue: Dialogue, message: WSMessage) -> None:
        match message.type:
            case WSMsgType.TEXT if message.data:
                self._greeted = True
                await dialogue.text(message.data)
            case WSMsgType.BINARY:
                self._greeted = True
                await dialogue.binary(message.data)
            case WSMsgType.PING:
                self._count_control(dialogue)
                self._outbox.pong(message.data)
            case _:
                # A pong, or an empty text that somebody sends for a sign of life.
                self._count_control(dialogue)

    def _count_control(self, dialogue: Dialogue) -> None:
        self._parts.probes.metrics.count(SOCKET_MESSAGES, type="control")
        dialogue.conduct.controlled()

    async def _watch(self, dialogue: Dialogue) -> NoReturn:
        opened_at = pinged_at = self._clock()
        while True:
            await asyncio.sleep(self._patience.tick_s)
            now = self._clock()
            if self._transport.is_closing():
                raise gone(self._socket.close_code)
            if not self._greeted and now - opened_at >= self._patience.hello_s:
                raise Parted(WSCloseCode.POLICY_VIOLATION, "no message came")
            if now - pinged_at >= self._patience.ping_every_s:
                pinged_at = now
                self._outbox.ping()
            reason = self._parts.authenticator.lapsed(self._escort.caller)
            if reason is not None:
                raise Parted(WSCloseCode.POLICY_VIOLATION, reason)
            dialogue.tick()

    async def _leave_when_told(self) -> NoReturn:
        await self._leaving.wait()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._patience.finish_s), self._handling:
                raise Parted(WSCloseCode.SERVICE_RESTART, "the service restarts")
        raise Parted(WSCloseCode.SERVICE_RESTART, "the service restarts")

    async def _say_farewell(self, dialogue: Dialogue, parting: Parted) -> None:
        try:
            async with asyncio.timeout(self._patience.farewell_s):
                await dialogue.leave()
                if parting.client_listens:
                    await self._outbox.flush()
        except (TimeoutError, Parted):
            _log.warning("socket_farewell_cut_short", code=parting.code)
        except Exception:  # noqa: BLE001 - whatever breaks here, the socket is closed in form
            _log.exception("socket_farewell_failed", code=parting.code)

    async def _close(self, parting: Parted) -> None:
        try:
            async with asyncio.timeout(self._patience.close_s):
                await self._socket.close(code=parting.code, message=parting.reason.encode())
        except TimeoutError:
            pass
        finally:
            # What is still to be sent may take a little longer, but not for ever.
            asyncio.get_running_loop().call_later(self._patience.close_s, self._transport.abort)


def _first(group: BaseExceptionGroup[Parted]) -> Parted:
    found = group.exceptions[0]
    return found if isinstance(found, Parted) else _first(found)
