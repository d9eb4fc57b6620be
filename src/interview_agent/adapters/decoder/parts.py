"""The parts of a stream as files that libav can read, inside a decoding child."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, NamedTuple

from interview_agent.adapters.decoder.wire import LAST, MORE, PART, UNREADABLE, RefusalError
from interview_agent.domain.audio_format import HEAD_BYTES, live_webm_preface

if TYPE_CHECKING:
    from collections.abc import Callable

_HEAD_WANTED_BYTES = 64
_MAX_BOXES = 4096
_BOX_HEAD_BYTES = 16


class ParentGoneError(Exception):
    """Nobody wants the audio any more."""


class _File(NamedTuple):
    """A part: its bytes from `skipped_bytes` on stand at `start` of the stream."""

    descriptor: int
    skipped_bytes: int
    start: int
    size_bytes: int


class Parts:
    """The parts received so far, as one run of bytes that grows on request."""

    def __init__(self, parent: socket.socket, before_asking: Callable[[], None]) -> None:
        self.size_bytes = 0
        self.complete = False
        self.fault: RefusalError | None = None
        """Why a part could not be read; libav takes that for the end, or for broken audio."""
        self._parent = parent
        self._before_asking = before_asking
        self._asked = True
        self._preface = b""
        self._files: list[_File] = []

    def grow(self) -> bool:
        """Wait for the next part; False when there is none. The first one comes unasked."""
        if self.fault is not None:
            raise self.fault
        if self.complete:
            return False
        if not self._asked:
            self._before_asking()
            self._parent.send(MORE)
        self._asked = False
        message, descriptors, _, _ = socket.recv_fds(self._parent, 16, 1)
        if message == LAST:
            self.complete = True
            return False
        if message != PART:
            raise ParentGoneError
        if not descriptors:
            raise RefusalError("unsupported", "The file is cut into too many parts.")
        file = self._file(descriptors[0])
        self._files.append(file)
        self.size_bytes += file.size_bytes
        return True

    def _file(self, descriptor: int) -> _File:
        """Place the next file behind the others, without a preface that stands in the first."""
        size_bytes = os.fstat(descriptor).st_size
        skipped = 0
        if self.size_bytes == 0:
            self._preface = live_webm_preface(self._read(descriptor, HEAD_BYTES, 0))
        elif self._preface == self._read(descriptor, len(self._preface), 0):
            skipped = len(self._preface)
        return _File(descriptor, skipped, self.size_bytes, size_bytes - skipped)

    def read_at(self, position: int, wanted_bytes: int) -> bytes:
        """Read from one of the parts at hand; empty at the end of them all."""
        for file in self._files:
            place = position - file.start
            if 0 <= place < file.size_bytes:
                return self._read(file.descriptor, wanted_bytes, file.skipped_bytes + place)
        return b""

    def _read(self, descriptor: int, wanted_bytes: int, position: int) -> bytes:
        try:
            return os.pread(descriptor, wanted_bytes, position)
        except OSError as error:
            self.fault = RefusalError(UNREADABLE, "The file cannot be read now.")
            raise self.fault from error

    def forget_before(self, position: int) -> None:
        """Close the parts that end at or before `position`."""
        while self._files and self._files[0].start + self._files[0].size_bytes <= position:
            os.close(self._files.pop(0).descriptor)

    def head(self, most_bytes: int) -> bytes:
        """Return the first bytes of the stream, waiting only until there are a few."""
        while self.size_bytes < _HEAD_WANTED_BYTES and self.grow():
            pass
        found = b""
        while len(found) < most_bytes:
            more = self.read_at(len(found), most_bytes - len(found))
            if not more:
                break
            found += more
        return found


class StreamReader:
    """Reads the parts once from front to back and asks for more at the end of each."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._position = 0

    def read(self, wanted_bytes: int) -> bytes:
        """Return some bytes, at most `wanted_bytes`; none at the end of the stream."""
        while not (found := self._parts.read_at(self._position, wanted_bytes)):
            self._parts.forget_before(self._position)
            if not self._parts.grow():
                return b""
        self._position += len(found)
        return found


class FileReader:
    """Reads the parts at hand as one seekable file."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._position = 0

    def read(self, wanted_bytes: int) -> bytes:
        """Return some bytes, at most `wanted_bytes`; none at the end of the file."""
        found = self._parts.read_at(self._position, wanted_bytes)
        self._position += len(found)
        return found

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move and return the new position."""
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._parts.size_bytes}
        self._position = max(0, origin[whence] + offset)
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position


def mp4_reader(parts: Parts) -> StreamReader | FileReader:
    """Choose how to read an mp4: as a stream when its index comes first, else once it is whole."""
    while True:
        layout = _mp4_layout(parts)
        if layout == "index first":
            return StreamReader(parts)
        if layout == "whole" or not parts.grow():
            return FileReader(parts)


def _mp4_layout(parts: Parts) -> str:
    """Walk the top-level boxes (ISO 14496-12, 4.2) of what is at hand."""
    position, index_first = 0, True
    for _ in range(_MAX_BOXES):
        box = parts.read_at(position, _BOX_HEAD_BYTES)
        if len(box) < 8:
            break
        size, kind = int.from_bytes(box[:4], "big"), box[4:8]
        if size == 1 and len(box) == _BOX_HEAD_BYTES:
            size = int.from_bytes(box[8:], "big")
        if kind in {b"moov", b"moof"}:
            if index_first:
                return "index first"
            if position + size <= parts.size_bytes:
                return "whole"
        if size < 8:
            break
        index_first = index_first and kind != b"mdat"
        position += size
    return "incomplete"


def wav_ends_with_first_part(parts: Parts, head: bytes) -> bool:
    """Say whether the sample data of a wav end exactly where the bytes at hand end.

    Then the header was written for this part alone, and bytes that follow are more samples.
    """
    samples = wav_samples(head)
    return samples is not None and len(samples) > 0 and samples.stop == parts.size_bytes


def wav_samples(head: bytes) -> range | None:
    """Return where the header of a wav says that its sample data stand, None if it breaks off."""
    position = 12
    while position + 8 <= len(head):
        size = int.from_bytes(head[position + 4 : position + 8], "little")
        if head[position : position + 4] == b"data":
            return range(position + 8, position + 8 + size)
        position += 8 + size + (size & 1)
    return None
