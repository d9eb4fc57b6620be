"""One live track: its frames are joined into chunks, stored one after another, and acknowledged."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from interview_agent.domain.errors import (
    AgentError,
    BadFrame,
    DatabaseError,
    Fault,
    FrameGap,
    FrameRefused,
    FrameRepeated,
    FrameTooLarge,
    SessionTaken,
)
from interview_agent.domain.frames import (
    FRAME_NUMBER_BYTES,
    FrameBuffer,
    JoinedFrames,
    pcm_bytes_per_s,
)
from interview_agent.domain.identity import Identity
from interview_agent.domain.retry import backoff_s
from interview_agent.domain.upload import AudioForm, Upload
from interview_agent.pipeline.live_ingest.held_audio import HeldAudio

if TYPE_CHECKING:
    from interview_agent.ports.live_sessions import LiveSession, LiveSessions

HOLD_S = 60.0
"""How long a session whose connection was cut keeps its meeting open."""

_WORKER_LOOKS_FOR_S = 2.0
_RETRY_BASE_S = 0.1
_RETRY_MOST_S = 2.0
_HELD_MAX_BYTES = 256 * 2**20

AcceptChunk = Callable[[Identity, Upload, bytes], Awaitable[object]]
"""The accept path of all audio: makes one chunk durable."""


@dataclass(frozen=True, slots=True)
class AudioAck:
    """Frames `first_frame` to `frame` are durable; every frame is in exactly one of these.

    `committed_s` is the length of the track up to there; None where only a decoder could tell.
    """

    track: str
    first_frame: int
    frame: int
    committed_s: float | None


@dataclass(frozen=True, slots=True)
class LiveLimits:
    """Bounds of one session.

    `frame_max_bytes` counts the number of a frame. `max_in_flight` frames and `unacked_max_bytes`
    may be unacknowledged. Storing what is left when the socket is gone takes `detach_s` at most.
    """

    chunk_s: float = 0.25
    frame_max_bytes: int = 2**20
    max_in_flight: int = 256
    unacked_max_bytes: int = 2**20
    detach_s: float = 5.0


def _unmeasured(_: float) -> None:
    pass


def _uncounted(_: str) -> None:
    pass


@dataclass(frozen=True, slots=True)
class LiveMeters:
    """Who is told how many sessions are open, and of frames and seconds of audio as they come."""

    sessions: Callable[[float], None] = _unmeasured
    acked_frames: Callable[[float], None] = _unmeasured
    audio_s: Callable[[float], None] = _unmeasured
    refused_frame: Callable[[str], None] = _uncounted


@dataclass(frozen=True, slots=True)
class LiveParts:
    """What a track is stored with.

    Without `live` nothing is captioned: the chunks go to the hearing of recordings at once. `held`
    bounds what all tracks hold; one frame of each is taken whatever the others hold. `jitter` gives
    random numbers from 0 to 1, `now_s` the seconds of a clock that never jumps.
    """

    accept: AcceptChunk
    sessions: LiveSessions
    limits: LiveLimits = LiveLimits()
    meters: LiveMeters = LiveMeters()
    held: HeldAudio = field(default_factory=lambda: HeldAudio(_HELD_MAX_BYTES))
    live: bool = True
    jitter: Callable[[], float] = random.random
    now_s: Callable[[], float] = time.monotonic


@dataclass(frozen=True, slots=True)
class Listener:
    """Who is told of durable frames, and of trouble and its end; neither call may raise."""

    on_ack: Callable[[AudioAck], None]
    on_trouble: Callable[[AgentError | None], None]


class LiveTrack:
    """One track that a socket sends; made by `LiveIngest`.

    `next_frame` is the next frame expected. `lost` is set when the session is over because another
    socket took the track or the audio can never be stored; `frame` then raises the reason.
    """

    def __init__(
        self,
        parts: LiveParts,
        caller: Identity,
        session: LiveSession,
        listener: Listener,
        *,
        on_end: Callable[[LiveTrack], None],
        speaker_hint: str | None = None,
        trace_id: str | None = None,
    ) -> None:
        self.meeting_id = session.meeting_id
        self.track = session.track
        self.next_frame = session.next_frame
        self.lost = asyncio.Event()
        self.session = session
        self._parts = parts
        self._caller = caller
        self._listener = listener
        self._on_end = on_end
        self._form = AudioForm(
            codec=session.codec,
            sample_rate=session.sample_rate,
            channels=session.channels,
            split_channels=session.channels > 1,
            speaker_hint=speaker_hint,
            live=parts.live,
        )
        self._trace_id = trace_id
        self._next_seq = session.next_seq
        self._stored_bytes = session.size_bytes
        self._bytes_per_s = pcm_bytes_per_s(session.codec, session.sample_rate, session.channels)
        self._buffer = FrameBuffer(
            session.next_frame,
            codec=session.codec,
            pcm_bytes_per_s=self._bytes_per_s,
            chunk_s=parts.limits.chunk_s,
        )
        self._unacked_frames = 0
        self._unacked_bytes = 0
        self._crowded = False
        self._ending = False
        self._troubled = False
        self._stored_at_s = float("-inf")
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._storing = asyncio.create_task(self._store_all())
        self._storing.add_done_callback(self._storing_ended)

    async def frame(self, number: int, audio: bytes) -> None:
        """Take a frame; waits while too much is unacknowledged. One call at a time.

        Raises `FrameRefused` for a frame that is not taken, and the reason if the session is over.
        """
        self._check_going()
        try:
            self._check_frame(number, audio)
        except FrameRefused as error:
            self._parts.meters.refused_frame(error.code)
            raise
        while not self._has_room(len(audio)):
            self._crowded = True
            self._changed.set()
            self._room.clear()
            self._parts.held.tell(self._room)
            await self._room.wait()
            self._check_going()
        now_s = self._parts.now_s()
        first = not self._buffer
        self._buffer.add(audio, now_s)
        self.next_frame += 1
        self._unacked_frames += 1
        self._unacked_bytes += len(audio)
        self._parts.held.take(len(audio))
        if first or self._buffer.due_in_s(now_s) <= 0:
            self._changed.set()

    async def stop(self) -> None:
        """Store and acknowledge what was taken, then let go of the meeting.

        Waits as long as there is trouble; calling `detach` instead is possible any time. Raises the
        reason when the session was lost before all was stored.
        """
        await self._end(None)
        self._on_end(self)
        if not self._storing.cancelled():
            self._storing.result()
        # Where this fails, the time of the session runs out by itself.
        with suppress(DatabaseError):
            await self._parts.sessions.stop(self.session)

    async def detach(self) -> None:
        """Store what was taken, within some seconds; the meeting stays held for the grace time."""
        await self._end(self._parts.limits.detach_s)
        self._on_end(self)
        if not self._storing.cancelled():
            with suppress(AgentError):
                self._storing.result()
        if not self.lost.is_set():
            with suppress(DatabaseError):
                await self._parts.sessions.hold([self.session], HOLD_S)

    def lose(self) -> None:
        """End the session because another socket has the track."""
        self.lost.set()
        self._changed.set()
        self._room.set()

    async def _end(self, patience_s: float | None) -> None:
        self._ending = True
        self._changed.set()
        await asyncio.wait({self._storing}, timeout=patience_s)
        if not self._storing.done():
            self._storing.cancel()
            await asyncio.wait({self._storing})

    def _check_going(self) -> None:
        if self._storing.done() and not self._storing.cancelled():
            self._storing.result()
        if self.lost.is_set():
            raise SessionTaken
        if self._ending:
            message = "the session of this track has ended"
            raise BadFrame(message)

    def _check_frame(self, number: int, audio: bytes) -> None:
        if number < 0 or not audio:
            raise BadFrame
        most_bytes = self._parts.limits.frame_max_bytes
        if FRAME_NUMBER_BYTES + len(audio) > most_bytes:
            message = f"a frame holds at most {most_bytes} bytes"
            raise FrameTooLarge(message)
        if number != self.next_frame:
            refused = FrameRepeated if number < self.next_frame else FrameGap
            raise refused(details={"next_frame": self.next_frame})

    def _has_room(self, size_bytes: int) -> bool:
        limits = self._parts.limits
        return self._unacked_frames == 0 or (
            self._unacked_frames < limits.max_in_flight
            and self._unacked_bytes + size_bytes <= limits.unacked_max_bytes
            and self._parts.held.has_room(size_bytes)
        )

    async def _store_all(self) -> None:
        while (joined := await self._next()) is not None:
            await self._store(joined)
            self._acknowledge(joined)

    async def _next(self) -> JoinedFrames | None:
        while not self.lost.is_set():
            wait_s = None
            if self._buffer:
                wait_s = self._buffer.due_in_s(self._parts.now_s())
                if self._ending or self._crowded or wait_s <= 0:
                    return self._buffer.take()
            elif self._ending:
                return None
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()
        raise SessionTaken

    async def _store(self, joined: JoinedFrames) -> None:
        # A try whose outcome is unknown is repeated as it was: same number, bytes and frames. If it
        # had succeeded, the repetition finds that out and changes nothing.
        upload = self._upload(joined)
        attempt = 0
        while True:
            try:
                await self._parts.accept(self._caller, upload, joined.audio)
                break
            except AgentError as error:
                if error.fault is not Fault.TRANSIENT:
                    raise
                if not self._troubled:
                    self._troubled = True
                    self._listener.on_trouble(error)
            attempt += 1
            await self._back_off(attempt)
        self._stored_at_s = self._parts.now_s()
        self._next_seq += 1
        if self._troubled:
            self._troubled = False
            self._listener.on_trouble(None)

    async def _back_off(self, attempt: int) -> None:
        pause_s = backoff_s(
            attempt, self._parts.jitter(), base_s=_RETRY_BASE_S, most_s=_RETRY_MOST_S
        )
        with suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self.lost.wait()
        if self.lost.is_set():
            raise SessionTaken

    def _upload(self, joined: JoinedFrames) -> Upload:
        return Upload(
            meeting_id=self.meeting_id,
            seq=self._next_seq,
            track=self.track,
            form=self._form,
            idempotency_key=f"live-{self._next_seq}",
            trace_id=self._trace_id,
            frames=(joined.first_frame, joined.last_frame),
            session_id=self.session.session_id,
            wake=self._wakes(),
        )

    def _wakes(self) -> bool:
        # Who captions a live track goes on looking for a while; the hearing of recordings does not.
        silent_s = self._parts.now_s() - self._stored_at_s
        return not self._parts.live or silent_s > _WORKER_LOOKS_FOR_S

    def _acknowledge(self, joined: JoinedFrames) -> None:
        frames, size_bytes = joined.last_frame - joined.first_frame + 1, len(joined.audio)
        self._unacked_frames -= frames
        self._unacked_bytes -= size_bytes
        self._parts.held.give_back(size_bytes)
        self._stored_bytes += size_bytes
        self._crowded = False
        self._room.set()
        committed_s = None
        if self._bytes_per_s is not None:
            committed_s = self._stored_bytes / self._bytes_per_s
            self._parts.meters.audio_s(size_bytes / self._bytes_per_s)
        self._parts.meters.acked_frames(frames)
        self._listener.on_ack(
            AudioAck(self.track, joined.first_frame, joined.last_frame, committed_s)
        )

    def _storing_ended(self, storing: asyncio.Task[None]) -> None:
        self._parts.held.give_back(self._unacked_bytes)
        self._unacked_bytes = 0
        error = None if storing.cancelled() else storing.exception()
        if error is not None:
            if isinstance(error, AgentError) and not isinstance(error, SessionTaken):
                self._listener.on_trouble(error)
            self.lose()
