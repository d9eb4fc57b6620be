"""Request bodies, bounded: in bytes, in time, in memory over all requests, and in nesting."""

from __future__ import annotations

import asyncio
import binascii
import json
import math
import re
from typing import TYPE_CHECKING, Any, TypeVar

from aiohttp import ClientPayloadError, StreamReader, web

from interview_agent.domain.errors import (
    Backpressure,
    BadAudio,
    RequestTimeout,
    TooLarge,
    UnsupportedMediaType,
    ValidationFailed,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

MAX_JSON_DEPTH = 32
MAX_JSON_COMMAS = 50_000
"""More values than this are refused: one parse must not hold the interpreter for long."""

SLOWEST_BYTES_PER_S = 4096
"""A body that stays slower than this, after its first grace, is given up on."""

_LARGE_BYTES = 256 * 1024
_BASE64_PIECE_CHARS = 1024 * 1024
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[\[{]|[\]}]', re.DOTALL)
_UTF8 = ("", "utf-8", "utf8")

T = TypeVar("T")


class ByteBudget:
    """Counts the bytes of request bodies that are in memory, over all requests."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._held_bytes = 0

    @property
    def held_bytes(self) -> int:
        """Bytes that are in memory now."""
        return self._held_bytes

    def check(self, amount_bytes: int) -> None:
        """Raise `Backpressure` if that many more bytes do not fit."""
        if self._held_bytes + amount_bytes > self._limit_bytes:
            message = "too many request bodies are in memory"
            raise Backpressure(message, retry_after_s=1)

    def lease(self) -> Lease:
        """Open an account that is given back as a whole."""
        return Lease(self)

    def move(self, amount_bytes: int) -> None:
        """Take that many bytes, or give them back if negative."""
        self._held_bytes += amount_bytes


class Lease:
    """The bytes of one request, given back when its `with` block ends."""

    def __init__(self, budget: ByteBudget) -> None:
        self._budget = budget
        self._taken_bytes = 0

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, *_: object) -> None:
        self._budget.move(-self._taken_bytes)
        self._taken_bytes = 0

    def expect(self, amount_bytes: int) -> None:
        """Raise `Backpressure` early if an announced body cannot fit."""
        self._budget.check(amount_bytes)

    def take(self, amount_bytes: int) -> None:
        """Count bytes that arrived. Raises `Backpressure`."""
        self._budget.check(amount_bytes)
        self._budget.move(amount_bytes)
        self._taken_bytes += amount_bytes


class Pace:
    """How long to wait for a sender: `silence_s` at a time, and not for ever in drips."""

    def __init__(self, silence_s: float) -> None:
        self._silence_s = silence_s
        self._waited_s = 0.0
        self._arrived_bytes = 0

    async def wait_for(self, read: Callable[[], Awaitable[T]]) -> T:
        """Return what `read` gives. Raises `RequestTimeout`, and HTTP 400 for a broken body."""
        loop = asyncio.get_running_loop()
        grace_s = self._silence_s + self._arrived_bytes / SLOWEST_BYTES_PER_S - self._waited_s
        started_s = loop.time()
        try:
            async with asyncio.timeout(max(0.0, min(self._silence_s, grace_s))):
                result = await read()
        except TimeoutError:
            raise RequestTimeout from None
        except (ClientPayloadError, web.RequestPayloadError, ConnectionError) as error:
            raise web.HTTPBadRequest(reason="the request body is broken") from error
        # Only waiting counts: a slow disk of ours is not the sender's fault.
        self._waited_s += loop.time() - started_s
        if isinstance(result, (bytes, bytearray)):
            self._arrived_bytes += len(result)
        return result


async def pieces(content: StreamReader, silence_s: float) -> AsyncIterator[bytes]:
    """Yield a body as it arrives. Raises `RequestTimeout`, and HTTP 400 for a broken body."""
    pace = Pace(silence_s)
    while piece := await pace.wait_for(content.readany):
        yield piece


def refuse_encoding(request: web.BaseRequest) -> None:
    """Raise `UnsupportedMediaType` for a compressed body."""
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding != "identity":
        message = "request bodies must not be compressed"
        raise UnsupportedMediaType(message)


def refuse_announced(request: web.BaseRequest, max_bytes: int) -> None:
    """Raise `TooLarge` if the announced length is past the limit."""
    if (request.content_length or 0) > max_bytes:
        raise too_large(max_bytes)


def too_large(max_bytes: int) -> TooLarge:
    """Return the error for a body past its limit."""
    return TooLarge(details={"limit_bytes": max_bytes})


def require_json(request: web.BaseRequest) -> None:
    """Raise `UnsupportedMediaType` unless the body is JSON in UTF-8."""
    declared = request.headers.get("Content-Type", "")
    charset = (request.charset or "").lower() if declared else ""
    if not declared or request.content_type != "application/json" or charset not in _UTF8:
        message = "the body must be application/json in UTF-8"
        raise UnsupportedMediaType(message)


async def read_bounded(
    request: web.BaseRequest, lease: Lease, *, max_bytes: int, silence_s: float
) -> bytes:
    """Return the whole body, counted in `lease`.

    Raises `TooLarge`, `RequestTimeout`, `Backpressure`, and HTTP 400 for a broken body.
    """
    refuse_announced(request, max_bytes)
    lease.expect(request.content_length or 0)
    body = bytearray()
    async for piece in pieces(request.content, silence_s):
        if len(body) + len(piece) > max_bytes:
            raise too_large(max_bytes)
        lease.take(len(piece))
        body += piece
    return bytes(body)


def _fault(message: str, kind: str) -> ValidationFailed:
    return ValidationFailed.at("body", message=message, kind=kind)


def _check_depth(body: bytes) -> None:
    # Strings may hold brackets, so a count of them is an upper bound; only past it is it exact.
    if body.count(b"[") + body.count(b"{") <= MAX_JSON_DEPTH:
        return
    depth = 0
    for token in _TOKEN.finditer(body):
        first = body[token.start()]
        if first in b"[{":
            depth += 1
            if depth > MAX_JSON_DEPTH:
                raise _fault(f"JSON is nested deeper than {MAX_JSON_DEPTH}", "json_depth")
        elif first in b"]}":
            depth -= 1


def _no_constant(name: str) -> float:
    raise ValueError(name)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _check_text(value: Any) -> None:
    if isinstance(value, str):
        value.encode()
        if "\0" in value:
            raise ValueError(value)
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_text(key)
            _check_text(item)
    elif isinstance(value, list):
        for item in value:
            _check_text(item)


def parse_json(body: bytes) -> Any:
    """Return the JSON value of a body in strict JSON: no NaN, no lone surrogates, no NUL.

    Raises `ValidationFailed`, also past `MAX_JSON_DEPTH` and `MAX_JSON_COMMAS`.
    """
    _check_depth(body)
    if body.count(b",") > MAX_JSON_COMMAS:
        message = "JSON holds too many values"
        raise _fault(message, "json_size")
    try:
        value = json.loads(body.decode("utf-8"), parse_constant=_no_constant, parse_float=_finite)
        # Only an escape can smuggle in a surrogate or NUL: raw ones are not valid UTF-8 or JSON.
        if b"\\u" in body:
            _check_text(value)
    except (ValueError, RecursionError):
        message = "the body is not valid JSON"
        raise _fault(message, "json_invalid") from None
    return value


async def load_json(body: bytes) -> Any:
    """Parse as `parse_json` does, a large body outside the event loop."""
    if len(body) > _LARGE_BYTES:
        return await asyncio.to_thread(parse_json, body)
    return parse_json(body)


def decode_base64(text: str) -> bytes:
    """Return the bytes of standard, padded base64. Raises `BadAudio` for anything else."""
    message = "content_b64 is not standard base64"
    if len(text) % 4 or "=" in text[:-2] or not text.isascii():
        raise BadAudio(message)
    # By pieces, so that other threads get the interpreter in between.
    try:
        return b"".join(
            binascii.a2b_base64(text[start : start + _BASE64_PIECE_CHARS], strict_mode=True)
            for start in range(0, len(text), _BASE64_PIECE_CHARS)
        )
    except binascii.Error:
        raise BadAudio(message) from None


async def decode_audio(text: str, *, max_bytes: int) -> bytes:
    """Decode as `decode_base64` does, a large chunk outside the event loop.

    Raises `BadAudio`, and `TooLarge` past `max_bytes` decoded.
    """
    if len(text) // 4 * 3 - text[-2:].count("=") > max_bytes:
        raise too_large(max_bytes)
    if len(text) > _LARGE_BYTES:
        return await asyncio.to_thread(decode_base64, text)
    return decode_base64(text)
