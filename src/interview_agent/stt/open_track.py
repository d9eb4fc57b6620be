"""A track that is being heard: its decoded sound and the timeline made of it."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from interview_agent.ports.audio import SAMPLE_RATE
from interview_agent.ports.speech import FRAME
from interview_agent.stt.timeline import Timeline
from interview_agent.stt.track_audio import TrackAudio

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from interview_agent.ports.audio import AudioDecoder
    from interview_agent.ports.blob_store import BlobStore
    from interview_agent.ports.speech import SpeechModel
    from interview_agent.ports.transcriber import AudioPart
    from interview_agent.stt.track_audio import Block, Break

AHEAD_SAMPLES = 300 * SAMPLE_RATE
"""Speech that is decoded ahead of the window in hand, at most."""


@dataclass(frozen=True, slots=True)
class OpenTrack:
    """The sound of one track as far as it was played."""

    audio: TrackAudio
    timeline: Timeline

    async def play_ahead(self, frames: int) -> AsyncGenerator[Block]:
        """Play parts, yielding what was heard, until enough speech lies beyond frame `frames`."""
        enough = frames * FRAME + AHEAD_SAMPLES
        while self.timeline.speech_frames * FRAME < enough:
            block = await self.audio.next_block()
            if block is None:
                return
            await self.timeline.hear(block.samples, block.seq)
            yield block

    async def ended(self, frames: int) -> Timeline | None:
        """Return how the timeline would end here, None if more is to come than fits in memory."""
        if not self.audio.exhausted:
            return None
        timeline = self.timeline.fork()
        enough = frames * FRAME + 2 * AHEAD_SAMPLES
        async with aclosing(self.audio.ending()) as blocks:
            async for block in blocks:
                await timeline.hear(block.samples, block.seq)
                if timeline.speech_frames * FRAME > enough:
                    return None
        await timeline.end()
        return timeline

    async def all_blocks(self) -> AsyncGenerator[Block]:
        """Yield every block to the end of the track."""
        while (block := await self.audio.next_block()) is not None:
            yield block
        async with aclosing(self.audio.ending()) as blocks:
            async for block in blocks:
                yield block


class TrackOpener:
    """Opens tracks from their first part."""

    def __init__(
        self, blobs: BlobStore, decoder: AudioDecoder, model: SpeechModel, *, vad: bool
    ) -> None:
        self._blobs = blobs
        self._decoder = decoder
        self._model = model
        self._vad = vad

    def open(self, parts: Sequence[AudioPart], breaks: Sequence[Break]) -> OpenTrack:
        """Open a track that nothing was played of yet."""
        audio = TrackAudio(self._blobs, self._decoder, breaks)
        audio.offer(parts)
        return OpenTrack(audio, Timeline(self._model, vad=self._vad))
