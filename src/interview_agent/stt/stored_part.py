"""The stored bytes of a chunk, which must be the ones that were accepted."""

from __future__ import annotations

import asyncio
import hashlib
import os
from typing import TYPE_CHECKING, BinaryIO

from interview_agent.domain.audio_format import HEAD_BYTES
from interview_agent.domain.errors import BadAudio, NotFound, StorageError

if TYPE_CHECKING:
    from interview_agent.ports.blob_store import BlobStore
    from interview_agent.ports.transcriber import AudioPart

BLOB_MISSING = "blob_missing"
BLOB_CORRUPT = "blob_corrupt"
LOST = frozenset({BLOB_MISSING, BLOB_CORRUPT})
"""Reasons that say nothing of the audio, only that it is no longer there."""

_BLOCK_BYTES = 2**20


async def open_part(blobs: BlobStore, part: AudioPart) -> BinaryIO:
    """Open the file of a chunk. Raises `BadAudio` when it is gone, `StorageError`."""
    try:
        return await blobs.open(part.blob_key)
    except NotFound as error:
        message = "The stored audio of this chunk is gone."
        raise BadAudio(message, details={"reason": BLOB_MISSING}) from error


async def checked_head(file: BinaryIO, part: AudioPart) -> bytes:
    """Return the first bytes of a chunk's file, leaving its offset alone.

    Raises `BadAudio` when length or digest are not those of what was accepted, `StorageError` when
    it cannot be read now.
    """
    try:
        head, intact = await asyncio.to_thread(_read_through, file, part)
    except OSError as error:
        # A share that goes away while it is read says nothing of the audio.
        message = "The stored audio cannot be read now."
        raise StorageError(message, details={"cause": type(error).__name__}) from error
    if not intact:
        message = "The stored audio of this chunk is not what was accepted."
        raise BadAudio(message, details={"reason": BLOB_CORRUPT})
    return head


def _read_through(file: BinaryIO, part: AudioPart) -> tuple[bytes, bool]:
    # pread leaves the offset alone: the file may be handed to a child that shares it.
    descriptor = file.fileno()
    if os.fstat(descriptor).st_size != part.size_bytes:
        return b"", False
    head, digest, offset = b"", hashlib.sha256(), 0
    while block := os.pread(descriptor, _BLOCK_BYTES, offset):
        head = head or block[:HEAD_BYTES]
        digest.update(block)
        offset += len(block)
    return head, digest.hexdigest() == part.sha256
