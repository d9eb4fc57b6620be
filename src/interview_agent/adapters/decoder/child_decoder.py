"""The decoder that trusts nothing: every stream is decoded in a confined child process."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import asdict
from typing import TYPE_CHECKING

from interview_agent.adapters.decoder.decoded_stream import DecodedStream, bad_audio
from interview_agent.adapters.decoder.nursery_link import NurseryLink
from interview_agent.adapters.decoder.wire import Wanted
from interview_agent.domain.errors import Backpressure, SttError
from interview_agent.ports.audio import SAMPLE_RATE, AudioDecoder, AudioStream

if TYPE_CHECKING:
    from interview_agent.adapters.decoder.nursery_link import Child

_RATES_HZ = range(4_000, 768_001)
_MAX_CHANNELS = 32
_CHILD_CPU_S = 3600
_CHILD_MEMORY_BYTES = 512 * 1024 * 1024


class ChildDecoder(AudioDecoder):
    """Decodes at most `max_children` streams at once, each in a child process of its own.

    A stream takes its place with its first part and gives it back when it ends or is closed; past
    the bound the next one waits `answer_timeout_s` and then raises `Backpressure`. Raw samples at
    16 kHz need no place. `max_decoded_s` bounds the decoded length of a stream,
    `answer_timeout_s` the time without output or a request for more, `child_memory_bytes` the
    address space of a child.

    `SttError` means that the decoder itself is out of order, which says nothing of the audio.
    `BadAudio` carries `details["reason"]`: `undecodable`, `unsupported`, `no_channel`, `too_long`,
    `timeout`, `crashed`, `out_of_memory`.
    """

    def __init__(
        self,
        max_children: int = 8,
        max_decoded_s: float = 21_600.0,
        answer_timeout_s: float = 30.0,
        child_memory_bytes: int = _CHILD_MEMORY_BYTES,
    ) -> None:
        self._max_samples = int(max_decoded_s * SAMPLE_RATE)
        self._answer_timeout_s = answer_timeout_s
        self._nurse = _Nurse(max_children, answer_timeout_s, child_memory_bytes)

    async def open(
        self, *, codec: str, sample_rate: int, channels: int, channel: int | None
    ) -> AudioStream:
        """Open a stream; see the port. Raises `BadAudio` for pcm that cannot be."""
        if codec == "pcm":
            if sample_rate not in _RATES_HZ or not 0 < channels <= _MAX_CHANNELS:
                raise bad_audio("unsupported", "No such sample rate or number of channels.")
            if channel is not None and channel >= channels:
                raise bad_audio("no_channel", f"There is no channel {channel} of {channels}.")
        wanted = Wanted(codec, sample_rate, channels, channel, self._max_samples)
        return DecodedStream(self._nurse, wanted, self._answer_timeout_s)

    async def aclose(self) -> None:
        """End every child that is left; harmless when repeated."""
        self._nurse.close()


class _Nurse:
    """Starts the nursery when it is first needed, and anew when it has died; keeps the bound."""

    def __init__(self, max_children: int, patience_s: float, memory_bytes: int) -> None:
        self._places = asyncio.Semaphore(max_children)
        self._patience_s = patience_s
        self._memory_bytes = memory_bytes
        self._nursery: NurseryLink | None = None

    async def bear(self, wanted: Wanted) -> Child:
        """Take a place and start a child. Raises `Backpressure`, `SttError`."""
        try:
            async with asyncio.timeout(self._patience_s):
                await self._places.acquire()
        except TimeoutError:
            raise Backpressure("All decoders are busy.", retry_after_s=5) from None
        try:
            return await self._bear_somehow(wanted)
        except BaseException:
            self._places.release()
            raise

    async def _bear_somehow(self, wanted: Wanted) -> Child:
        """Start a child, of a second nursery if the first turns out to be dead."""
        request = {
            "wanted": asdict(wanted),
            "memory_bytes": self._memory_bytes,
            "cpu_s": _CHILD_CPU_S,
        }
        for _ in range(2):
            if self._nursery is None or not self._nursery.alive:
                self._nursery = NurseryLink()
            nursery = self._nursery
            with contextlib.suppress(ConnectionError, TimeoutError):
                return await nursery.bear(request)
            nursery.close()
        raise SttError("The decoder does not start.", details={"exit_code": nursery.exit_code})

    async def end(self, child: Child) -> int | None:
        """Kill and reap a child, give its place back; return its exit code, None if all died."""
        try:
            return await child.end()
        finally:
            self._places.release()

    def close(self) -> None:
        """End the nursery and all children."""
        if self._nursery is not None:
            self._nursery.close()
            self._nursery = None
