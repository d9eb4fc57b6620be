"""A whole recording as a stream: a raw body, or the file of a multipart one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiohttp import BodyPartReader, MultipartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from interview_agent.domain.errors import UnsupportedMediaType, ValidationFailed
from interview_agent.web.body import Pace, pieces, refuse_announced, refuse_encoding, too_large

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from interview_agent.web.parts import Limits

MAX_FIELDS = 20
MAX_FIELD_BYTES = 4096
_FRAMING_BYTES = 64 * 1024
_RAW_TYPES = ("application/octet-stream", "application/ogg")
_RAW_FAMILIES = ("audio/", "video/")
_PLAIN_TRANSFER = ("", "binary", "8bit", "7bit")


@dataclass(frozen=True, slots=True)
class Recording:
    """The fields that came with a file, and the file as it arrives."""

    fields: dict[str, str]
    stream: AsyncIterator[bytes]


def _malformed(message: str) -> ValidationFailed:
    return ValidationFailed.at("body", message=message, kind="multipart")


class _Parts:
    """Reads the parts of a multipart body at the pace of its sender."""

    def __init__(self, reader: MultipartReader, silence_s: float) -> None:
        self._reader = reader
        self._pace = Pace(silence_s)

    async def _paced(self, read: Any) -> Any:
        try:
            return await self._pace.wait_for(read)
        except (ValueError, AssertionError, HttpProcessingError):
            message = "the multipart body is malformed"
            raise _malformed(message) from None

    async def following(self) -> BodyPartReader | None:
        """Return the next part, None at the end."""
        part = await self._paced(self._reader.next)
        if part is not None and not isinstance(part, BodyPartReader):
            message = "a multipart body inside a multipart body is not supported"
            raise _malformed(message)
        return part

    async def field(self, part: BodyPartReader) -> str:
        """Return a short text part."""
        text = bytearray()
        while piece := await self._paced(part.read_chunk):
            text += piece
            if len(text) > MAX_FIELD_BYTES:
                raise too_large(MAX_FIELD_BYTES)
        try:
            return text.decode("utf-8")
        except UnicodeDecodeError:
            message = "a field is not UTF-8"
            raise _malformed(message) from None

    async def file(self, part: BodyPartReader) -> AsyncIterator[bytes]:
        """Yield the file. Raises `ValidationFailed` if anything comes after it."""
        while piece := await self._paced(part.read_chunk):
            yield piece
        if await self.following() is not None:
            message = "fields must come before the file, and there must be one file"
            raise _malformed(message)


async def _from_multipart(request: web.Request, silence_s: float) -> Recording:
    try:
        reader = await request.multipart()
    except (ValueError, AssertionError):
        message = "a multipart body needs a boundary of 1 to 70 characters"
        raise UnsupportedMediaType(message) from None
    parts = _Parts(reader, silence_s)
    fields: dict[str, str] = {}
    while (part := await parts.following()) is not None:
        encoding = part.headers.get("Content-Transfer-Encoding", "").lower()
        if encoding not in _PLAIN_TRANSFER or "Content-Encoding" in part.headers:
            message = "parts must be sent as plain bytes"
            raise UnsupportedMediaType(message)
        if part.filename is not None:
            return Recording(fields, parts.file(part))
        if len(fields) >= MAX_FIELDS:
            message = "too many fields"
            raise _malformed(message)
        fields[part.name or ""] = await parts.field(part)
    message = "the body has no file"
    raise _malformed(message)


async def open_recording(request: web.Request, limits: Limits) -> Recording:
    """Return the fields and the stream of an uploaded file, nothing of which is kept in memory.

    Raises `UnsupportedMediaType`, `TooLarge`, `ValidationFailed`, `RequestTimeout`; the stream
    raises the last two, and HTTP 400 for a broken body.
    """
    refuse_encoding(request)
    declared = request.content_type if "Content-Type" in request.headers else ""
    if declared == "multipart/form-data":
        refuse_announced(request, limits.recording_max_bytes + _FRAMING_BYTES)
        return await _from_multipart(request, limits.body_timeout_s)
    if declared not in _RAW_TYPES and not declared.startswith(_RAW_FAMILIES):
        message = "send audio/*, application/octet-stream or multipart/form-data"
        raise UnsupportedMediaType(message)
    refuse_announced(request, limits.recording_max_bytes)
    return Recording({}, pieces(request.content, limits.body_timeout_s))
