"""Frames of RFC 6455, as cheap as a client can make them."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import asyncio

TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA
_FINAL = 0x80
_MASKED = 0x80
_SHORT_MOST = 125
_MEDIUM_MOST = 0xFFFF
# A key of zeros leaves the payload as it is, and is as good as any other to whoever unmasks it.
_KEY = bytes(4)


class Message(NamedTuple):
    """A frame of the service, which sends every message in one."""

    opcode: int
    payload: bytes


def client_header(opcode: int, size_bytes: int) -> bytes:
    """Return what stands before a payload of that size."""
    if size_bytes <= _SHORT_MOST:
        return bytes((_FINAL | opcode, _MASKED | size_bytes)) + _KEY
    if size_bytes <= _MEDIUM_MOST:
        return struct.pack("!BBH", _FINAL | opcode, _MASKED | 126, size_bytes) + _KEY
    return struct.pack("!BBQ", _FINAL | opcode, _MASKED | 127, size_bytes) + _KEY


def client_frame(opcode: int, payload: bytes) -> bytes:
    """Return a whole frame."""
    return client_header(opcode, len(payload)) + payload


async def read_frame(reader: asyncio.StreamReader) -> Message:
    """Read one frame. Raises `IncompleteReadError` when the connection ends."""
    first, second = await reader.readexactly(2)
    size_bytes = second & ~_MASKED
    if size_bytes == 126:
        (size_bytes,) = struct.unpack("!H", await reader.readexactly(2))
    elif size_bytes == 127:
        (size_bytes,) = struct.unpack("!Q", await reader.readexactly(8))
    return Message(first & ~_FINAL, await reader.readexactly(size_bytes))
