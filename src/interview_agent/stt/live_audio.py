"""The sound of a track whose chunks come one by one, each played once."""

from __future__ import annotations

from collections import deque
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from interview_agent.domain.errors import BadAudio, SttError
from interview_agent.domain.upload import PCM_SAMPLE_BYTES
from interview_agent.ports.audio import SAMPLE_RATE
from interview_agent.stt.stored_part import LOST, checked_head, open_part
from interview_agent.stt.track_audio import CRASHES, StreamBorder, open_stream, reason_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from interview_agent.ports.audio import AudioDecoder, AudioStream, Samples
    from interview_agent.ports.blob_store import BlobStore
    from interview_agent.ports.transcriber import AudioPart

_REMEMBERED_SAMPLES = 60 * SAMPLE_RATE
"""So far back it is known which chunk sounds where."""


@dataclass(frozen=True, slots=True)
class Place:
    """A place where decoding can begin: behind chunk `after_seq`, at that sample of the track."""

    after_seq: int = -1
    sample: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the place as a JSON object."""
        return {"after_seq": self.after_seq, "sample": self.sample}


@dataclass(frozen=True, slots=True)
class _Mark:
    seq: int
    sample: int
    is_entry: bool


class LiveAudio:
    """Decodes chunks as they come, from `place` on.

    A chunk that cannot be heard is passed over: the hearing of the whole recording judges it. With
    `forgiving` so is one on which the decoder dies.
    """

    def __init__(
        self, blobs: BlobStore, decoder: AudioDecoder, place: Place, *, forgiving: bool = False
    ) -> None:
        self.last_seq = place.after_seq
        """The last chunk that was played."""
        self.samples = place.sample
        """Samples of the track so far."""
        self._blobs = blobs
        self._decoder = decoder
        self._forgiving = forgiving
        self._border = StreamBorder()
        self._stream: AudioStream | None = None
        self._first: AudioPart | None = None
        self._stream_at = self._stream_bytes = 0
        self._entry = place
        self._marks: deque[_Mark] = deque()

    async def play(self, part: AudioPart) -> AsyncGenerator[Samples]:
        """Yield what can be heard now that `part` came.

        Raises `StorageError`, and `SttError` when the decoder died: begin again at a `place`.
        """
        try:
            async with aclosing(self._play(part)) as blocks:
                async for samples in blocks:
                    self.samples += samples.size
                    yield samples
        except BadAudio as error:
            # The stream of a chunk that is lost goes on without it.
            if reason_of(error) not in LOST:
                await self._break(error)
        self.last_seq = part.seq

    async def _play(self, part: AudioPart) -> AsyncGenerator[Samples]:
        with await open_part(self._blobs, part) as file:
            head = await checked_head(file, part)
            begins = self._border.begins(part, head, self._first)
            if begins:
                async for samples in self._finish():
                    yield samples
                await self._begin(part, head)
            self._mark(part, begins=begins)
            if self._stream is None:
                return
            async for samples in self._stream.feed(file):
                yield samples
            self._stream_bytes += part.size_bytes

    async def _begin(self, part: AudioPart, head: bytes) -> None:
        self._border.pass_into(part, head)
        self._first, self._stream_at, self._stream_bytes = part, self.samples, 0
        self._stream = await open_stream(self._decoder, self._border, part)

    async def _finish(self) -> AsyncGenerator[Samples]:
        try:
            if self._stream is not None:
                async for samples in self._stream.finish():
                    yield samples
        except BadAudio as error:
            await self._break(error)
        await self._drop()

    async def _break(self, error: BadAudio) -> None:
        """Give the stream up. Raises `SttError` when the decoder may have been at fault."""
        await self._drop()
        if reason_of(error) in CRASHES and not self._forgiving:
            raise SttError(details={"reason": reason_of(error)}) from error

    async def _drop(self) -> None:
        stream, self._stream, self._first = self._stream, None, None
        if stream is not None:
            await stream.aclose()

    def _mark(self, part: AudioPart, *, begins: bool) -> None:
        # Raw samples can be entered at every chunk that begins with a whole one, a container only
        # at its beginning.
        sample, is_entry = self.samples, begins
        if not self._border.is_container:
            # What came out so far says less: a resampler holds something back.
            before, rest = divmod(self._stream_bytes, PCM_SAMPLE_BYTES * part.channels)
            sample = self._stream_at + before * SAMPLE_RATE // part.sample_rate
            is_entry = rest == 0
        self._marks.append(_Mark(part.seq, sample, is_entry))

    def place_before(self, sample: int) -> Place:
        """Return the last place from which everything from `sample` on can be heard again."""
        for mark in self._marks:
            if mark.is_entry and mark.sample <= sample:
                self._entry = Place(mark.seq - 1, mark.sample)
        while len(self._marks) > 1 and self._marks[1].sample < sample - _REMEMBERED_SAMPLES:
            self._marks.popleft()
        return self._entry

    def remember(self, seq: int, track_s: float) -> None:
        """Note which chunk sounds at a time before the place; to be called first of all."""
        if track_s * SAMPLE_RATE < self.samples:
            self._marks.append(_Mark(seq, int(track_s * SAMPLE_RATE), is_entry=False))

    def seq_at(self, track_s: float) -> int:
        """Return the chunk that sounds at `track_s` seconds, the nearest one that is known."""
        found = self._marks[0].seq if self._marks else max(self.last_seq, 0)
        for mark in self._marks:
            if mark.sample > track_s * SAMPLE_RATE:
                break
            found = mark.seq
        return found

    async def aclose(self) -> None:
        """Let go of the stream."""
        await self._drop()
