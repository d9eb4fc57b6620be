"""Where sockets open live tracks."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from interview_agent.domain.errors import (
    Backpressure,
    DatabaseError,
    Stopping,
    ValidationFailed,
)
from interview_agent.domain.ids import DEFAULT_TRACK, check_name
from interview_agent.domain.upload import (
    MAX_LIVE_CHANNELS,
    AudioForm,
    Upload,
    check_upload,
    codec_of,
)
from interview_agent.pipeline.live_ingest.track import HOLD_S, Listener, LiveTrack
from interview_agent.ports.live_sessions import NewLiveSession

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from interview_agent.domain.errors import AgentError
    from interview_agent.domain.identity import Identity
    from interview_agent.pipeline.live_ingest.track import AudioAck, LiveLimits, LiveParts
    from interview_agent.ports.live_sessions import LiveSession

_HOLD_EVERY_S = 20.0
_RETRY_AFTER_S = 10


@dataclass(frozen=True, slots=True)
class LiveRequest:
    """What a sender says about a track before its first frame; two channels are heard apart."""

    meeting_id: str
    track: str = DEFAULT_TRACK
    codec: str = "pcm_s16le"
    sample_rate: int = 16_000
    channels: int = 1
    language: str | None = None
    speaker_hint: str | None = None
    trace_id: str | None = None


class LiveIngest:
    """Opens tracks for sockets and holds their meetings open; `run` is its loop.

    Once `accepting` is false, opening one raises `Stopping`; what is open goes on. `random_hex`
    gives that many random bytes in hex.
    """

    def __init__(
        self,
        parts: LiveParts,
        *,
        accepting: Callable[[], bool] = lambda: True,
        random_hex: Callable[[int], str] = secrets.token_hex,
    ) -> None:
        self._parts = parts
        self._accepting = accepting
        self._random_hex = random_hex
        self._tracks: dict[str, LiveTrack] = {}

    @property
    def limits(self) -> LiveLimits:
        """The bounds of each session."""
        return self._parts.limits

    async def start(
        self,
        caller: Identity,
        request: LiveRequest,
        on_ack: Callable[[AudioAck], None],
        on_trouble: Callable[[AgentError | None], None],
    ) -> LiveTrack:
        """Open a track, taking it from the socket that had it; a track that was begun goes on.

        `on_ack` and `on_trouble` must neither block nor raise. `on_trouble` gets the error when
        storing begins to fail, None when it is over; nothing is lost meanwhile. Raises
        `ValidationFailed`, `Backpressure` past what can be captioned, `Conflict`, `MeetingGone`,
        `ConsentDenied` and `DatabaseError`.
        """
        codec = self._check(request)
        self._check_open()
        await self._admit(request)
        session = await self._parts.sessions.open(
            NewLiveSession(
                meeting_id=request.meeting_id,
                owner=caller.owner,
                track=request.track,
                session_id=self._random_hex(16),
                codec=codec,
                sample_rate=request.sample_rate,
                channels=request.channels,
                language=request.language,
                any_owner=caller.is_service,
            )
        )
        return await self._enter(
            caller,
            session,
            Listener(on_ack, on_trouble),
            speaker_hint=request.speaker_hint,
            trace_id=request.trace_id,
        )

    async def resume(
        self,
        caller: Identity,
        meeting_id: str,
        track: str,
        on_ack: Callable[[AudioAck], None],
        on_trouble: Callable[[AgentError | None], None],
        trace_id: str | None = None,
    ) -> LiveTrack:
        """Open a track again as it was, whatever the load.

        Raises `ValidationFailed`, `NotFound`, `ConsentDenied`, `DatabaseError` and
        `Stopping`.
        """
        check_name(meeting_id, "meeting_id")
        check_name(track, "track")
        self._check_open()
        owner = None if caller.is_service else caller.owner
        session = await self._parts.sessions.resume(meeting_id, owner, track, self._random_hex(16))
        return await self._enter(caller, session, Listener(on_ack, on_trouble), trace_id=trace_id)

    async def run(self, *, every_s: float = _HOLD_EVERY_S) -> None:
        """Hold the meetings of all open sessions, for ever."""
        while True:
            await asyncio.sleep(every_s)
            await self.hold([each for each in self._tracks.values() if not each.lost.is_set()])

    async def hold(self, tracks: Iterable[LiveTrack]) -> None:
        """Hold the meetings of sessions once, and end those that were taken."""
        by_id = {track.session.session_id: track for track in tracks}
        if not by_id:
            return
        # A hold outlives three of these, and whoever sends is told of the trouble by its chunks.
        with suppress(DatabaseError):
            for taken in await self._parts.sessions.hold(
                [each.session for each in by_id.values()], HOLD_S
            ):
                by_id[taken.session_id].lose()

    async def _enter(
        self,
        caller: Identity,
        session: LiveSession,
        listener: Listener,
        *,
        speaker_hint: str | None = None,
        trace_id: str | None = None,
    ) -> LiveTrack:
        track = LiveTrack(
            self._parts,
            caller,
            session,
            listener,
            on_end=self._leave,
            speaker_hint=speaker_hint,
            trace_id=trace_id,
        )
        rivals = [
            each
            for each in self._tracks.values()
            if (each.meeting_id, each.track) == (track.meeting_id, track.track)
        ]
        self._tracks[track.session.session_id] = track
        self._parts.meters.sessions(len(self._tracks))
        try:
            # Who of several that opened at once has the track is known to the rows alone.
            await self.hold([*rivals, track] if rivals else [])
        except asyncio.CancelledError:
            track.lose()
            self._leave(track)
            raise
        return track

    def _leave(self, track: LiveTrack) -> None:
        self._tracks.pop(track.session.session_id, None)
        self._parts.meters.sessions(len(self._tracks))

    def _check_open(self) -> None:
        if not self._accepting():
            raise Stopping

    @staticmethod
    def _check(request: LiveRequest) -> str:
        form = AudioForm(
            codec=request.codec,
            sample_rate=request.sample_rate,
            channels=request.channels,
            split_channels=request.channels > 1,
        )
        check_upload(Upload(request.meeting_id, 0, request.track, form))
        if request.channels > MAX_LIVE_CHANNELS:
            message = f"a live track has at most {MAX_LIVE_CHANNELS} channels"
            raise ValidationFailed.at("channels", message=message, kind="range")
        return codec_of(form)

    async def _admit(self, request: LiveRequest) -> None:
        if not self._parts.live or await self._parts.sessions.is_open(
            request.meeting_id, request.track
        ):
            return
        found = await self._parts.sessions.capacity()
        if found.capacity is not None and found.open_streams + request.channels > found.capacity:
            message = "no more live streams can be captioned now"
            raise Backpressure(message, retry_after_s=_RETRY_AFTER_S)
