"""A WebSocket whose frames are made by hand, to break the rules of framing."""

from __future__ import annotations

import asyncio
import base64
import os
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from yarl import URL

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA
FINAL = 0x80
WAIT_S = 10.0


def masked_frame(
    opcode: int,
    payload: bytes = b"",
    *,
    first_byte: int | None = None,
    claims_bytes: int | None = None,
    masked: bool = True,
) -> bytes:
    """Return one frame; `claims_bytes` is a length other than the payload's."""
    length = len(payload) if claims_bytes is None else claims_bytes
    head = bytes([FINAL | opcode if first_byte is None else first_byte])
    flag = 0x80 if masked else 0
    if length < 126:
        head += bytes([flag | length])
    elif length < 2**16:
        head += bytes([flag | 126]) + length.to_bytes(2, "big")
    else:
        head += bytes([flag | 127]) + length.to_bytes(8, "big")
    if not masked:
        return head + payload
    mask = os.urandom(4)
    return head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


class RawSocket:
    """One connection after its upgrade."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def write(self, frame: bytes) -> None:
        """Send bytes as they are."""
        self._writer.write(frame)
        await self._writer.drain()

    async def write_in_bits(self, parts: Iterable[bytes]) -> None:
        """Send each part in a packet of its own."""
        for part in parts:
            await self.write(part)
            await asyncio.sleep(0)

    async def frame(self) -> tuple[int, bytes]:
        """Return opcode and payload of the next frame."""
        head = await self._reader.readexactly(2)
        length = head[1] & 0x7F
        if length >= 126:
            length = int.from_bytes(
                await self._reader.readexactly(2 if length == 126 else 8), "big"
            )
        return head[0] & 0x0F, await self._reader.readexactly(length)

    async def texts_until_close(self) -> tuple[int | None, list[bytes]]:
        """Return the close code (None: none was sent) and the texts that came before it."""
        texts: list[bytes] = []
        async with asyncio.timeout(WAIT_S):
            try:
                while True:
                    opcode, payload = await self.frame()
                    if opcode == CLOSE:
                        return int.from_bytes(payload[:2], "big"), texts
                    if opcode == TEXT:
                        texts.append(payload)
            except (asyncio.IncompleteReadError, ConnectionError):
                return None, texts

    async def ended(self) -> None:
        """Wait until the other side has closed the connection."""
        async with asyncio.timeout(WAIT_S):
            try:
                while await self._reader.read(2**16):
                    pass
            except ConnectionError:
                return

    def cut(self) -> None:
        """Break the connection without a word."""
        self._writer.transport.abort()


@asynccontextmanager
async def raw_socket(
    address: str, key: str = "alice", path: str = "/v1/ws"
) -> AsyncIterator[RawSocket]:
    """Connect and upgrade; the connection is cut at the end."""
    url = URL(address)
    assert url.host is not None
    reader, writer = await asyncio.open_connection(url.host, url.port)
    socket_key = base64.b64encode(os.urandom(16)).decode()
    try:
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: {url.host}:{url.port}\r\nX-API-Key: {key}\r\n"
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {socket_key}\r\n\r\n".encode()
        )
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 101 "), answer
        yield RawSocket(reader, writer)
    finally:
        writer.transport.abort()
        with suppress(ConnectionError):
            await writer.wait_closed()
