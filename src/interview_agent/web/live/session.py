"""The one track that a socket sends: its frames, their refusals, its silence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interview_agent.domain.errors import BadFrame, FrameRefused
from interview_agent.domain.frames import FRAME_NUMBER_BYTES
from interview_agent.domain.live import Alert, AlertCode

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from interview_agent.pipeline.live_ingest import LiveTrack


class AudioSession:
    """Takes the binary frames of an open track; `clock` gives seconds.

    `taking_watch` runs as long as the session does.
    """

    def __init__(self, track: LiveTrack, *, no_audio_s: float, clock: Callable[[], float]) -> None:
        self.track = track
        self._no_audio_s = no_audio_s
        self._clock = clock
        self._heard_at = clock()
        self._taking = False
        self._silent = False
        self._refused: str | None = None
        self.taking_watch: asyncio.Task[None] | None = None

    async def frame(self, body: bytes) -> None:
        """Hand a frame on. Raises `FrameRefused`."""
        self._taking = True
        try:
            if len(body) < FRAME_NUMBER_BYTES:
                message = f"a frame begins with its number in {FRAME_NUMBER_BYTES} bytes"
                raise BadFrame(message)
            number = int.from_bytes(body[:FRAME_NUMBER_BYTES], "big")
            await self.track.frame(number, body[FRAME_NUMBER_BYTES:])
        finally:
            self._taking = False
            self._heard_at = self._clock()
        self._refused = None

    def is_news(self, refusal: FrameRefused) -> bool:
        """Whether this refusal begins a run: the client was not told so for the frame before."""
        is_new = self._refused != refusal.code
        self._refused = refusal.code
        return is_new

    def silence(self) -> Alert | None:
        """Return an alert when no frame came for long, and another one when that is over."""
        since_s = 0.0 if self._taking else self._clock() - self._heard_at
        if (since_s >= self._no_audio_s) is self._silent:
            return None
        self._silent = not self._silent
        told_s = round(since_s, 1) if self._silent else 0.0
        return Alert(self.track.track, AlertCode.NO_AUDIO, told_s)
