"""One stream as its reader sees it: parts go in, samples come out."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import aclosing
from dataclasses import replace
from enum import Enum, auto
from typing import TYPE_CHECKING, BinaryIO, Protocol

import numpy as np

from interview_agent.adapters.decoder.raw_pcm import RawPcm
from interview_agent.adapters.decoder.wire import (
    AUDIO,
    DONE,
    LAST,
    MORE,
    PART,
    REFUSED,
    SAMPLE_BYTES,
    UNREADABLE,
    Wanted,
)
from interview_agent.domain.audio_format import container_magic
from interview_agent.domain.errors import AgentError, BadAudio, StorageError, SttError
from interview_agent.ports.audio import SAMPLE_RATE, AudioStream, Samples

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from interview_agent.adapters.decoder.nursery_link import Child

_MAGIC_BYTES = 16
_FULL_SCALE = 32_768
_REASONS = frozenset(
    {"undecodable", "unsupported", "no_channel", "too_long", "out_of_memory", UNREADABLE}
)


class _Nurse(Protocol):
    async def bear(self, wanted: Wanted) -> Child: ...

    async def end(self, child: Child) -> int | None: ...


class _State(Enum):
    FRESH = auto()
    HUNGRY = auto()
    BUSY = auto()
    OVER = auto()


class DecodedStream(AudioStream):
    """A stream whose child is born with the first part; raw samples at 16 kHz need no child.

    After the end of the container, and after `finish`, parts yield nothing. An iteration that is
    given up half-way ends the stream: feeding it again raises `BadAudio` (`crashed`).
    """

    def __init__(self, nurse: _Nurse, wanted: Wanted, answer_timeout_s: float) -> None:
        self._nurse = nurse
        self._wanted = wanted
        self._answer_timeout_s = answer_timeout_s
        self._state = _State.FRESH
        self._samples = 0
        self._raw: RawPcm | None = None
        self._child: Child | None = None
        self._failure: AgentError | None = None

    async def feed(self, part: BinaryIO) -> AsyncGenerator[Samples, None]:
        """Yield what can be decoded with this part; see the port."""
        if self._state is _State.OVER:
            if self._failure is not None:
                raise self._failure
            return
        if self._state is _State.BUSY:
            await self._fail("crashed")
        if self._state is _State.FRESH:
            await self._begin(part)
        if self._raw is not None:
            async with aclosing(self._raw.feed(part)) as blocks:
                try:
                    async for block in blocks:
                        yield block
                except OSError:
                    await self._fail(UNREADABLE)
        elif self._child is not None:
            self._child.tell(PART, part.fileno())
            async with aclosing(self._answers(self._child)) as blocks:
                async for block in blocks:
                    yield block

    async def finish(self) -> AsyncGenerator[Samples, None]:
        """Yield what is held back; see the port."""
        if self._child is not None:
            if self._state is _State.BUSY:
                await self._fail("crashed")
            self._child.tell(LAST)
            async with aclosing(self._answers(self._child)) as blocks:
                async for block in blocks:
                    yield block
            if self._state is not _State.OVER:
                await self._fail("crashed")
        elif self._failure is not None:
            raise self._failure
        self._state = _State.OVER

    async def aclose(self) -> None:
        """Kill and reap the child if there is one."""
        self._state = _State.OVER
        await self._release()

    async def _begin(self, part: BinaryIO) -> None:
        if self._wanted.codec == "pcm":
            try:
                head = await asyncio.to_thread(os.pread, part.fileno(), _MAGIC_BYTES, 0)
            except OSError:
                await self._fail(UNREADABLE)
            if container_magic(head) is not None:
                self._wanted = replace(self._wanted, codec="auto")
            elif self._wanted.sample_rate == SAMPLE_RATE:
                wanted = self._wanted
                self._raw = RawPcm(wanted.channels, wanted.channel, wanted.max_samples)
        if self._raw is None:
            self._child = await self._nurse.bear(self._wanted)
        self._state = _State.HUNGRY

    async def _answers(self, child: Child) -> AsyncGenerator[Samples, None]:
        """Yield samples until the child wants more or has reached the end."""
        self._state = _State.BUSY
        while True:
            try:
                message = await child.hear(self._answer_timeout_s)
            except TimeoutError:
                await self._fail("timeout")
            kind, body = message[:1], message[1:]
            if kind == AUDIO and body and len(body) % SAMPLE_BYTES == 0:
                self._samples += len(body) // SAMPLE_BYTES
                if self._samples > self._wanted.max_samples:
                    await self._fail("crashed")
                yield np.frombuffer(body, np.int16).astype(np.float32) / np.float32(_FULL_SCALE)
                # An answer that is already there is taken without a pause; others want a turn.
                await asyncio.sleep(0)
            elif kind == MORE:
                self._state = _State.HUNGRY
                return
            elif kind == DONE:
                self._state = _State.OVER
                await self._release()
                return
            elif kind == REFUSED:
                reason, _, sentence = body.decode(errors="replace").partition("\n")
                await self._fail(reason if reason in _REASONS else "crashed", sentence)
            else:
                await self._fail("crashed")

    async def _fail(self, reason: str, sentence: str = "") -> None:
        """End the stream and raise: `BadAudio` unless the audio is not to blame.

        Raises `SttError` if all children died together, `StorageError` for a file that cannot be
        read now.
        """
        exit_code = await self._release()
        self._state = _State.OVER
        if reason == UNREADABLE:
            self._failure = StorageError("The stored audio cannot be read now.")
        elif reason == "crashed" and exit_code is None:
            self._failure = SttError("The decoder broke down.")
        elif reason == "crashed" and exit_code == -signal.SIGXCPU:
            self._failure = bad_audio("timeout")
        else:
            self._failure = bad_audio(reason, sentence)
        raise self._failure

    async def _release(self) -> int | None:
        child, self._child = self._child, None
        return None if child is None else await self._nurse.end(child)


def bad_audio(reason: str, sentence: str = "") -> BadAudio:
    """Make the error for a stable reason."""
    sentences = {
        "crashed": "The decoder broke down over this audio.",
        "timeout": "Decoding made no progress in time.",
    }
    return BadAudio(sentence or sentences.get(reason), details={"reason": reason})
