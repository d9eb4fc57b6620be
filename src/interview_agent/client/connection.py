"""One WebSocket to the service, and what the ways in which it ends mean for a client."""

from __future__ import annotations

import asyncio
import json
import struct
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeAlias

from aiohttp import (
    ClientError,
    ClientSession,
    ClientWebSocketResponse,
    ClientWSTimeout,
    InvalidURL,
    WSCloseCode,
    WSMsgType,
    WSServerHandshakeError,
)

from interview_agent.domain.errors import AgentError, ConnectionLost, Refused

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

Message: TypeAlias = dict[str, Any]
"""A JSON object of the protocol; its kind is `event_type`."""

MAX_MESSAGE_BYTES = 8 * 1024 * 1024
_CLOSE_S = 2.0
_FINAL_CLOSES = (WSCloseCode.POLICY_VIOLATION, WSCloseCode.MESSAGE_TOO_BIG)
_ASK_AGAIN = (
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_EARLY,
    HTTPStatus.TOO_MANY_REQUESTS,
)
_DENIALS: Mapping[int, str] = {
    HTTPStatus.UNAUTHORIZED: "the service does not know this API key or token",
    HTTPStatus.FORBIDDEN: "this API key may not send live audio here",
    HTTPStatus.NOT_FOUND: "there is no Interview Agent with live captions at this address",
}


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a client waits: for an answer, for a sign of life, and before it tries again."""

    answer_s: float = 15.0
    heartbeat_s: float = 20.0
    backoff_base_s: float = 0.25
    backoff_limit_s: float = 10.0


class Connection:
    """An open WebSocket; every call raises `ConnectionLost` or `Refused` when it has ended."""

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self._socket = socket

    async def send(self, event_type: str, **fields: Any) -> None:
        """Send one message; fields that are None are left out."""
        known = {name: value for name, value in fields.items() if value is not None}
        text = json.dumps({"schema_version": "v1", "event_type": event_type, **known})
        try:
            await self._socket.send_str(text)
        except (ClientError, OSError) as error:
            raise self._lost(error) from error

    async def send_frame(self, number: int, audio: bytes) -> None:
        """Send one frame of audio under its number."""
        try:
            await self._socket.send_bytes(struct.pack(">Q", number) + audio)
        except (ClientError, OSError) as error:
            raise self._lost(error) from error

    async def receive(self) -> Message:
        """Return the next message."""
        while True:
            received = await self._socket.receive()
            if received.type is WSMsgType.TEXT:
                return _parsed(received.data)
            if received.type is WSMsgType.BINARY:
                continue
            raise self._ending(str(received.extra or ""))

    def _ending(self, reason: str) -> AgentError:
        code = self._socket.close_code
        if code in _FINAL_CLOSES:
            return Refused(f"the service closed the connection: {reason or code}")
        cause = self._socket.exception()
        if cause is not None:
            return self._lost(cause)
        return ConnectionLost(f"the service closed the connection ({reason or code})")

    def _lost(self, error: BaseException) -> ConnectionLost:
        return ConnectionLost(f"the connection broke ({str(error) or type(error).__name__})")


@asynccontextmanager
async def connected(http: ClientSession, url: str, patience: Patience) -> AsyncIterator[Connection]:
    """Open a WebSocket at `url` and close it at the end of the block.

    Raises `ConnectionLost` when it may work later and `Refused` when it will not.
    """
    try:
        async with asyncio.timeout(patience.answer_s):
            socket = await http.ws_connect(
                url,
                heartbeat=patience.heartbeat_s,
                max_msg_size=MAX_MESSAGE_BYTES,
                timeout=ClientWSTimeout(ws_close=_CLOSE_S),
            )
    except WSServerHandshakeError as error:
        raise _denial(error) from error
    except InvalidURL as error:
        message = f"{url} is not an address"
        raise Refused(message) from error
    except (ClientError, OSError, TimeoutError) as error:
        message = f"no connection to {url} ({str(error) or 'no answer in time'})"
        raise ConnectionLost(message) from error
    try:
        yield Connection(socket)
    finally:
        with suppress(ClientError, OSError, TimeoutError):
            async with asyncio.timeout(_CLOSE_S):
                await socket.close()


def number(message: Message, name: str) -> int:
    """Return a whole number of a message; raises `ConnectionLost` where there is none."""
    value = message.get(name)
    if not isinstance(value, int):
        reason = f"{message.get('event_type')} came without {name}"
        raise ConnectionLost(reason)
    return value


def raise_error(message: Message) -> None:
    """Raise what an `error` of the service means: `ConnectionLost` when a retry may help."""
    text = f"{message.get('message') or 'the service refuses'} ({message.get('code')})"
    if not message.get("retryable"):
        raise Refused(text)
    details = message.get("details")
    wait_s = details.get("retry_after_s") if isinstance(details, dict) else None
    raise ConnectionLost(text, retry_after_s=wait_s if isinstance(wait_s, int) else None)


def _denial(error: WSServerHandshakeError) -> AgentError:
    if error.status < HTTPStatus.INTERNAL_SERVER_ERROR and error.status not in _ASK_AGAIN:
        return Refused(_DENIALS.get(error.status, f"the service answered with {error.status}"))
    wait = error.headers.get("Retry-After", "") if error.headers else ""
    return ConnectionLost(
        f"the service cannot take a connection now ({error.status})",
        retry_after_s=int(wait) if wait.isascii() and wait.isdecimal() else None,
    )


def _parsed(text: str) -> Message:
    try:
        message = json.loads(text)
    except ValueError as error:
        raise ConnectionLost("the service sent what is not JSON") from error
    if not isinstance(message, dict):
        raise ConnectionLost("the service sent what is not a message")
    return message
