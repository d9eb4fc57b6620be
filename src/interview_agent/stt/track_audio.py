"""The sound of a track's parts, block by block, across streams that begin, break and end.

What comes out depends on the parts alone. Where that would not be so, because a broken part is no
longer among the parts of the next call, the break itself is remembered as a `Break`.
"""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from interview_agent.domain.audio_format import live_webm_preface, sniff, starts_stream
from interview_agent.domain.errors import BadAudio
from interview_agent.ports.transcriber import AudioPart, FailedPart
from interview_agent.stt.stored_part import checked_head, open_part

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Sequence

    from interview_agent.ports.audio import AudioDecoder, AudioStream, Samples
    from interview_agent.ports.blob_store import BlobStore

CRASHES = frozenset({"crashed", "timeout", "out_of_memory"})
"""Reasons that may be the decoder's fault and not the part's; worth one more try."""

NO_HEADER = "no_stream_header"

# Streams of frames that can be entered anywhere, so that the first part needs no header.
SELF_FRAMED = frozenset({"mp3", "aac"})


@dataclass(frozen=True, slots=True)
class Block:
    """Samples that came out when chunk `seq` went in."""

    seq: int
    samples: Samples


@dataclass(frozen=True, slots=True)
class Break:
    """A part in which a stream broke off, after `samples` samples of that part."""

    part: AudioPart
    samples: int


def reason_of(error: BadAudio) -> str:
    """Return the stable reason for which audio cannot be heard."""
    return str(error.details.get("reason", "undecodable"))


class StreamBorder:
    """Says where one stream of a track ends and the next one begins."""

    def __init__(self) -> None:
        self.is_container = False
        """Whether the stream that was entered last has a container."""
        self._preface = b""

    def begins(self, part: AudioPart, head: bytes, live: AudioPart | None) -> bool:
        """Say whether `part` begins a stream; `live` is the first part of the open one, if any."""
        if starts_stream(part.codec, head):
            # The decoder passes over a preface that it has read before.
            is_repeated = self._preface and head.startswith(self._preface)
            return not (live is not None and is_repeated)
        if part.codec != "pcm":
            return (live is None or not self.is_container) and sniff(head) in SELF_FRAMED
        if live is None or self.is_container:
            return live is None or live.codec != "pcm"
        shapes = {(p.sample_rate, p.channels, p.channel) for p in (part, live)}
        return len(shapes) > 1

    def pass_into(self, part: AudioPart, head: bytes) -> None:
        """Note that `part`, which begins with `head`, has begun a stream."""
        self.is_container = part.codec != "pcm" or starts_stream(part.codec, head)
        self._preface = live_webm_preface(head)


async def open_stream(decoder: AudioDecoder, border: StreamBorder, part: AudioPart) -> AudioStream:
    """Open the stream that `part` begins, once it was passed into."""
    return await decoder.open(
        codec="auto" if border.is_container else "pcm",
        sample_rate=part.sample_rate,
        channels=part.channels,
        channel=part.channel,
    )


class TrackAudio:
    """Decodes the parts of one track in playing order, on demand."""

    def __init__(
        self, blobs: BlobStore, decoder: AudioDecoder, breaks: Sequence[Break] = ()
    ) -> None:
        self._blobs = blobs
        self._decoder = decoder
        self._known_breaks = {known.part.seq: known for known in breaks}
        self.breaks: list[Break] = list(breaks)
        """Every break so far; together with the parts it determines the sound."""
        self.taken: list[AudioPart] = []
        """Parts that had a say in the sound so far, broken ones included."""
        self.failed: list[FailedPart] = []
        """Parts of the current call that could not be heard."""
        self.spoiled = False
        """`ending` found a break: the sound before it must be made anew to go on."""
        self._rejected: dict[int, FailedPart] = {}
        self._queue: list[AudioPart] = []
        self._playing: AsyncGenerator[Block] | None = None
        self._stream: AudioStream | None = None
        self._stream_parts: list[AudioPart] = []
        self._stream_samples = 0
        self._part_samples = 0
        self._border = StreamBorder()
        self._skip = 0

    def offer(self, parts: Sequence[AudioPart]) -> bool:
        """Name all parts there are now; False if they do not continue what was taken."""
        if self._judged_too_early(parts):
            return False
        broken = {known.part.seq: known.part for known in self.breaks}
        offered = {**{part.seq: part for part in parts}, **broken}
        passed = self._rejected.keys() - broken.keys()
        merged = [offered[seq] for seq in sorted(offered) if seq not in passed]
        if merged[: len(self.taken)] != self.taken:
            return False
        self._queue = merged[len(self.taken) :]
        self.failed = [self._rejected[part.seq] for part in parts if part.seq in self._rejected]
        return True

    def _judged_too_early(self, parts: Sequence[AudioPart]) -> bool:
        """Say whether a part that failed is offered again, together with a new one before it."""
        judged = self._rejected.keys()
        known = judged | {part.seq for part in self.taken}
        first_new = min((part.seq for part in parts if part.seq not in known), default=None)
        return first_new is not None and any(
            part.seq > first_new for part in parts if part.seq in judged
        )

    @property
    def exhausted(self) -> bool:
        """Whether `next_block` has said that all parts are played."""
        return self._playing is None and not self._queue

    async def next_block(self) -> Block | None:
        """Return the next samples, None when all parts are played. Raises `StorageError`."""
        while True:
            if self._playing is None:
                if not self._queue:
                    return None
                self._playing = self._play(self._queue.pop(0))
            try:
                return await anext(self._playing)
            except StopAsyncIteration:
                self._playing = None

    async def ending(self) -> AsyncGenerator[Block]:
        """Yield what the open stream holds back. Raises `StorageError`.

        When more parts are offered later, the stream is decoded anew and goes on where the last
        `next_block` left it, as if this had not been asked.
        """
        parts, breaks = list(self._stream_parts), len(self.breaks)
        samples = self._stream_samples, self._part_samples
        try:
            async with aclosing(self._finish()) as blocks:
                async for block in blocks:
                    yield block
        finally:
            await self._drop_stream()
            self._stream_parts = parts
            self._stream_samples, self._part_samples = samples
            self.spoiled = len(self.breaks) > breaks

    async def aclose(self) -> None:
        """Let go of streams and files."""
        if self._playing is not None:
            await self._playing.aclose()
            self._playing = None
        await self._drop_stream()

    async def _play(self, part: AudioPart) -> AsyncGenerator[Block]:
        try:
            with await open_part(self._blobs, part) as file:
                head = await checked_head(file, part)
        except BadAudio as error:
            self._reject(part, reason_of(error))
            return
        live = self._stream_parts[0] if self._stream_parts else None
        begins, was_live = self._border.begins(part, head, live), live is not None
        known = self._known_breaks.get(part.seq)
        if not begins and not self._continues(part) and known is None:
            self._reject(part, NO_HEADER)
            return
        self.taken.append(part)
        if begins:
            async with aclosing(self._finish()) as blocks:
                async for block in blocks:
                    yield block
            self._stream_samples = 0
            self._border.pass_into(part, head)
        self._stream_parts.append(part)
        self._part_samples = 0
        sound = self._sound(part) if known is None else self._sound_until(known)
        try:
            async with aclosing(sound) as some:
                async for samples in some:
                    yield Block(part.seq, samples)
        except BadAudio as error:
            await self._break(part, reason_of(error), worth_keeping=was_live)

    def _continues(self, part: AudioPart) -> bool:
        return bool(self._stream_parts) and (part.codec == "pcm" or self._border.is_container)

    async def _sound(self, part: AudioPart | None) -> AsyncGenerator[Samples]:
        """Yield what comes out for a part, or for the end of the stream if it is None.

        A decoder that crashes is given one more try.
        """
        for last_try in (False, True):
            try:
                async with aclosing(self._attempt(part)) as blocks:
                    async for samples in blocks:
                        self._stream_samples += samples.size
                        self._part_samples += samples.size
                        yield samples
            except BadAudio as error:
                await self._drop_stream()
                if last_try or reason_of(error) not in CRASHES:
                    raise
            else:
                return

    async def _attempt(self, part: AudioPart | None) -> AsyncGenerator[Samples]:
        if self._stream is None:
            earlier = self._stream_parts if part is None else self._stream_parts[:-1]
            self._stream = await open_stream(self._decoder, self._border, self._stream_parts[0])
            # A new stream says again what the lost one had said.
            self._skip = self._stream_samples
            for again in earlier:
                async for samples in self._feed(self._stream, again):
                    yield samples
        blocks = self._stream.finish() if part is None else self._feed(self._stream, part)
        async for samples in blocks:
            fresh = self._unsaid(samples) if part is None else samples
            if fresh.size:
                yield fresh

    async def _feed(self, stream: AudioStream, part: AudioPart) -> AsyncIterator[Samples]:
        with await open_part(self._blobs, part) as file:
            async for samples in stream.feed(file):
                fresh = self._unsaid(samples)
                if fresh.size:
                    yield fresh

    def _unsaid(self, samples: Samples) -> Samples:
        said = min(self._skip, samples.size)
        self._skip -= said
        return samples[said:]

    async def _finish(self) -> AsyncGenerator[Block]:
        """Yield what the stream holds back, and forget the stream."""
        if not self._stream_parts:
            return
        last = self._stream_parts[-1]
        try:
            async with aclosing(self._sound(None)) as blocks:
                async for samples in blocks:
                    yield Block(last.seq, samples)
        except BadAudio as error:
            # A stream without any sound fails with all its parts, another one with its last.
            unheard = [last] if self._stream_samples else list(self._stream_parts)
            for part in unheard:
                await self._break(part, reason_of(error), worth_keeping=True)
        await self._drop_stream()
        self._stream_parts = []

    async def _sound_until(self, known: Break) -> AsyncGenerator[Samples]:
        """Yield exactly the samples that were heard when the part broke, then break again."""
        missing = known.samples
        for source in (known.part, None):
            if missing == 0:
                break
            try:
                async with aclosing(self._sound(source)) as blocks:
                    async for samples in blocks:
                        yield samples[:missing]
                        missing -= min(missing, samples.size)
                        if missing == 0:
                            break
            except BadAudio:
                break
        if missing:
            yield np.zeros(missing, np.float32)
        await self._drop_stream()
        self._stream_parts = []

    async def _break(self, part: AudioPart, reason: str, *, worth_keeping: bool) -> None:
        """Fail the part and end its stream.

        The break is kept where the sound of later parts depends on it.
        """
        await self._drop_stream()
        self._stream_parts = []
        self._reject(part, reason)
        if worth_keeping or self._part_samples:
            self.breaks.append(Break(part, self._part_samples))
        elif part in self.taken:
            self.taken.remove(part)

    def _reject(self, part: AudioPart, reason: str) -> None:
        self._rejected[part.seq] = FailedPart(part.seq, reason)
        self.failed.append(self._rejected[part.seq])

    async def _drop_stream(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            await stream.aclose()
