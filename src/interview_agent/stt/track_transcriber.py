"""Transcribes tracks step by step, and begins again where the last committed step ended."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import aclosing
from typing import TYPE_CHECKING

from interview_agent.ports.transcriber import TrackInput, TrackProgress, Transcriber
from interview_agent.stt.checkpoint import Checkpoint
from interview_agent.stt.open_track import OpenTrack, TrackOpener
from interview_agent.stt.track_run import TrackRun

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection

    from interview_agent.ports.audio import AudioDecoder
    from interview_agent.ports.blob_store import BlobStore
    from interview_agent.ports.speech import SpeechModel


class TrackTranscriber(Transcriber):
    """Hears a track as plain faster-whisper would hear the whole recording."""

    name = "whisper_local"

    def __init__(
        self,
        blobs: BlobStore,
        decoder: AudioDecoder,
        model: SpeechModel,
        *,
        vad_filter: bool = True,
        max_open_tracks: int = 16,
        exact_up_to_s: float = 1200.0,
    ) -> None:
        """Take what is needed; the model is closed with the transcriber.

        Up to `max_open_tracks` tracks stay open between two calls. Each may hold one open stream,
        so the decoder must allow as many streams, and two for every call that runs at the same
        time.

        Speech that was recognised while the track was open is recognised once more at its close
        if its loudest moment came later and it is no longer than `exact_up_to_s`: only then is
        the text that of the whole recording heard at once.
        """
        self._model = model
        self._opener = TrackOpener(blobs, decoder, model, vad=vad_filter)
        self._max_open_tracks = max_open_tracks
        self._exact_up_to_s = exact_up_to_s
        self._idle: OrderedDict[tuple[str, str], OpenTrack] = OrderedDict()
        self._busy = 0

    async def advance(self, track: TrackInput) -> AsyncGenerator[TrackProgress]:
        """Yield every step that can be taken; see the port.

        Until the track is closed, a step holds whole windows only, which stand for good. The last
        step of a closed track holds its tail, which is heard again when more sound comes.
        Raises `SttError`, `StorageError`.
        """
        key = (track.meeting_id, track.track)
        checkpoint = Checkpoint.read(track.checkpoint, track.parts)
        opened = await self._take(key, track, checkpoint)
        run = TrackRun(
            self._model,
            self._opener,
            track,
            opened,
            checkpoint,
            exact_up_to_s=self._exact_up_to_s,
        )
        sound = False
        self._busy += 1
        try:
            async with aclosing(run.steps()) as steps:
                async for progress in steps:
                    # A caller who stops here leaves the track as sound as one who goes on.
                    sound = True
                    yield progress
                    sound = False
            sound = True
        finally:
            self._busy -= 1
            await self._put_back(key, run.opened, sound=sound)

    @property
    def open_meetings(self) -> set[str]:
        """The meetings of which sound is kept open between two calls."""
        return {meeting_id for meeting_id, _ in self._idle}

    async def forget(self, meeting_ids: Collection[str]) -> None:
        """Close what is kept open of these meetings."""
        for key in [key for key in self._idle if key[0] in meeting_ids]:
            if opened := self._idle.pop(key, None):
                await opened.audio.aclose()

    async def aclose(self) -> None:
        """Close all tracks and the model."""
        while self._idle:
            await self._idle.popitem()[1].audio.aclose()
        await self._model.aclose()

    async def _take(
        self, key: tuple[str, str], track: TrackInput, checkpoint: Checkpoint
    ) -> OpenTrack:
        opened = self._idle.pop(key, None)
        await self._make_room(coming=1)
        if opened is not None:
            there = opened.timeline.forgotten <= checkpoint.position.frames
            if there and opened.audio.offer(track.parts):
                return opened
            await opened.audio.aclose()
        return self._opener.open(track.parts, checkpoint.breaks)

    async def _put_back(self, key: tuple[str, str], opened: OpenTrack, *, sound: bool) -> None:
        if not sound or opened.audio.spoiled:
            await opened.audio.aclose()
            return
        double = self._idle.pop(key, None)
        self._idle[key] = opened
        if double is not None:
            await double.audio.aclose()
        await self._make_room()

    async def _make_room(self, coming: int = 0) -> None:
        while self._idle and self._busy + len(self._idle) + coming > self._max_open_tracks:
            _, oldest = self._idle.popitem(last=False)
            await oldest.audio.aclose()
