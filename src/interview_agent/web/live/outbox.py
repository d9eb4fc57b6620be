"""What one socket sends: a bounded queue with one writer."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, NoReturn

from aiohttp import WSCloseCode, WSMsgType

from interview_agent.web.live.parting import Parted, gone

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOM = 64
"""Messages that may wait; past it no message is read and no item of a feed is pulled."""

Send = Callable[[bytes, WSMsgType], Awaitable[None]]


class Outbox:
    """Queues messages for the one task that runs `run`.

    `send` writes a frame and waits while the client does not read. What answers the client is
    queued at once: its number is bounded, since nobody reads from a client without `room`.
    """

    def __init__(self, send: Send, *, send_timeout_s: float) -> None:
        self._send = send
        self._send_timeout_s = send_timeout_s
        self._waiting: deque[tuple[bytes, WSMsgType]] = deque()
        self._filled = asyncio.Event()
        self._drained = asyncio.Event()

    def tell(self, message: Mapping[str, Any]) -> None:
        """Queue an answer."""
        self._put(_encoded(message), WSMsgType.TEXT)

    def ping(self) -> None:
        """Queue a ping."""
        self._put(b"", WSMsgType.PING)

    def pong(self, payload: bytes) -> None:
        """Queue the answer to a ping."""
        self._put(payload, WSMsgType.PONG)

    async def offer(self, message: Mapping[str, Any]) -> None:
        """Queue a message of a feed as soon as there is room."""
        await self.room()
        self.tell(message)

    async def room(self) -> None:
        """Wait until fewer than ROOM messages are queued."""
        while len(self._waiting) >= ROOM:
            self._drained.clear()
            await self._drained.wait()

    async def run(self) -> NoReturn:
        """Send until the socket ends. Raises `Parted` when the client is gone or does not read."""
        while True:
            await self._filled.wait()
            await self.flush()

    async def flush(self) -> None:
        """Send all that is queued. Raises as `run` does."""
        while self._waiting:
            payload, kind = self._waiting.popleft()
            if len(self._waiting) < ROOM:
                self._drained.set()
            await self._sent(payload, kind)
        self._filled.clear()

    def _put(self, payload: bytes, kind: WSMsgType) -> None:
        self._waiting.append((payload, kind))
        self._filled.set()

    async def _sent(self, payload: bytes, kind: WSMsgType) -> None:
        try:
            async with asyncio.timeout(self._send_timeout_s):
                await self._send(payload, kind)
        except TimeoutError:
            raise Parted(WSCloseCode.TRY_AGAIN_LATER, "the client does not read") from None
        except ConnectionError:
            raise gone() from None


def _encoded(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()
