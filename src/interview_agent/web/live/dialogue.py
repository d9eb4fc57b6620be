"""What a socket does with each message of its client."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from aiohttp import WSCloseCode

from interview_agent.domain.errors import (
    AgentError,
    Fault,
    Forbidden,
    FrameRefused,
    MeetingGone,
    MeetingTaken,
    NoSession,
    NotFound,
    SessionOpen,
    SessionTaken,
)
from interview_agent.domain.ids import trace_id_of
from interview_agent.domain.upload import AudioForm, Upload
from interview_agent.metrics import (
    CHUNKS_ACCEPTED,
    SOCKET_ERRORS,
    SOCKET_MESSAGES,
)
from interview_agent.pipeline.feed import AlertShown, Updated
from interview_agent.pipeline.live_ingest import LiveRequest
from interview_agent.web.body import decode_audio
from interview_agent.web.live import replies
from interview_agent.web.live.conduct import Conduct
from interview_agent.web.live.listening import Listening, Spawn
from interview_agent.web.live.messages import feed_message
from interview_agent.web.live.parting import Parted
from interview_agent.web.live.protocol import (
    AudioChunk,
    MeetingFinish,
    Ping,
    Said,
    SessionResume,
    SessionStart,
    SessionStop,
    SessionSubscribe,
    read_message,
)
from interview_agent.web.live.session import AudioSession

if TYPE_CHECKING:
    from collections.abc import Callable

    from interview_agent.pipeline.feed import FeedItem
    from interview_agent.pipeline.live_ingest import AudioAck, LiveTrack
    from interview_agent.web.live.escort import Escort
    from interview_agent.web.live.outbox import Outbox
    from interview_agent.web.parts import WebParts


class Dialogue:
    """Answers one client. Refusals are told and survived; `Parted` ends the socket.

    A client that only ever sent `audio.chunk` is one of the reference implementation and is told
    of final segments and errors alone.
    """

    def __init__(
        self,
        parts: WebParts,
        escort: Escort,
        outbox: Outbox,
        spawn: Spawn,
        *,
        trace_id: str,
        clock: Callable[[], float],
    ) -> None:
        self._parts = parts
        self._escort = escort
        self._caller = escort.caller
        self._outbox = outbox
        self._spawn = spawn
        self._trace_id = trace_id
        self._clock = clock
        self.conduct = Conduct(clock)
        self._session: AudioSession | None = None
        self._speaks_ours = False
        self._homeless_told = False
        self._never_stored: AgentError | None = None
        self._listening = Listening(
            parts.feed,
            escort.caller,
            outbox,
            spawn,
            shows=self._shows,
            on_failure=self._feed_ended,
        )

    async def text(self, text: str) -> None:
        """Do what a text message asks for."""
        try:
            said = await read_message(text)
        except AgentError as error:
            self._count_message("unknown")
            self._refuse(error)
            return
        self._count_message(said.event_type)
        if not isinstance(said, AudioChunk):
            self._speaks_ours = True
            self.conduct.controlled()
        meeting_id = getattr(said, "meeting_id", None)
        try:
            reason = self._escort.judge(said.event_type)
            await self._obey(said)
        except AgentError as error:
            self._escort.refused(error, meeting_id)
            self._refuse(error)
        else:
            self._escort.done(said.event_type, reason, meeting_id)

    async def binary(self, body: bytes) -> None:
        """Take a frame of audio."""
        self._count_message("frame")
        self._speaks_ours = True
        if self._session is None:
            self.conduct.refused()
            if not self._homeless_told:
                self._homeless_told = True
                self._refuse(NoSession())
            return
        try:
            await self._session.frame(body)
        except FrameRefused as refusal:
            self.conduct.refused()
            if self._session.is_news(refusal):
                track = self._session.track
                self._refuse(refusal, track=track.track, next_frame=track.next_frame)
        except AgentError:
            # The session is over, and who watches it says so.
            return
        self._alert_of_silence()

    def tick(self) -> None:
        """Look at what only time brings."""
        self._alert_of_silence()

    async def leave(self) -> None:
        """Make durable what was taken, and keep the meeting for a client that comes back."""
        session = self._end_session()
        if session is not None:
            await session.track.detach()

    async def _obey(self, said: Said) -> None:
        match said:
            case AudioChunk():
                await self._take_chunk(said)
            case SessionStart():
                await self._start(said)
            case SessionResume():
                await self._resume(said)
            case SessionSubscribe():
                await self._listening.follow(
                    said.meeting_id, after=said.last_event, partials=said.partials
                )
            case SessionStop():
                await self._stop()
            case MeetingFinish():
                await self._finish(said)
            case Ping():
                self._outbox.tell(replies.pong())

    async def _take_chunk(self, said: AudioChunk) -> None:
        # Followed before the chunk is there, so that no update of it can be missed; but who sends
        # the first chunk of a meeting has nothing to follow before it.
        first = not len(self._listening)
        missed = first and not await self._follow_quietly(said.meeting_id, after=None)
        limits = self._parts.limits
        audio = await decode_audio(said.content_b64, max_bytes=limits.chunk_max_bytes)
        upload = Upload(
            meeting_id=said.meeting_id,
            seq=said.seq,
            track=said.track,
            form=AudioForm(
                codec=said.codec,
                sample_rate=said.sample_rate,
                channels=said.channels,
                speaker_hint=said.speaker_hint,
                live=self._parts.sockets.captions,
            ),
            idempotency_key=said.idempotency_key or f"ws_{secrets.token_hex(16)}",
            trace_id=trace_id_of(said.trace_id, None) or self._trace_id,
        )
        accepted = await self._parts.ingest.chunk(self._caller, upload, audio)
        result = "duplicate" if accepted.receipt.duplicate else "new"
        self._parts.probes.metrics.count(CHUNKS_ACCEPTED, result=result)
        if missed:
            await self._follow_quietly(said.meeting_id, after=0)

    async def _follow_quietly(self, meeting_id: str, *, after: int | None) -> bool:
        try:
            await self._listening.follow(meeting_id, after=after)
        except AgentError:
            return False
        return True

    async def _start(self, said: SessionStart) -> None:
        self._require_no_session()
        request = LiveRequest(
            meeting_id=said.meeting_id,
            track=said.track,
            codec=said.codec,
            sample_rate=said.sample_rate,
            channels=said.channels,
            language=said.language,
            speaker_hint=said.speaker_hint,
            trace_id=self._trace_id,
        )
        track = await self._parts.live.start(
            self._caller, request, self._on_ack(said.meeting_id), self._on_trouble(said.track)
        )
        await self._open(track, said)

    async def _resume(self, said: SessionResume) -> None:
        self._require_no_session()
        track = await self._parts.live.resume(
            self._caller,
            said.meeting_id,
            said.track,
            self._on_ack(said.meeting_id),
            self._on_trouble(said.track),
            trace_id=self._trace_id,
        )
        await self._open(track, said)

    async def _open(self, track: LiveTrack, said: SessionStart | SessionResume) -> None:
        def ready(newest: int) -> None:
            self._outbox.tell(replies.session_ready(track, self._parts.live.limits, newest))

        no_audio_s = self._parts.sockets.patience.no_audio_s
        self._session = AudioSession(track, no_audio_s=no_audio_s, clock=self._clock)
        self._homeless_told = False
        try:
            await self._listening.follow(
                said.meeting_id, after=said.last_event, partials=said.partials, on_open=ready
            )
        except AgentError:
            # Without its captions the session has not begun; the client will try again.
            await self.leave()
            raise
        self._session.taking_watch = self._spawn(self._watch_taking(self._session))

    async def _watch_taking(self, session: AudioSession) -> None:
        await session.track.lost.wait()
        reason = self._never_stored
        if reason is None:
            reason = SessionTaken()
            self._tell_error(reason, track=session.track.track)
        raise Parted(WSCloseCode.POLICY_VIOLATION, reason.code)

    def _feed_ended(self, meeting_id: str, error: AgentError) -> None:
        self._tell_error(error, meeting_id=meeting_id)
        sends = self._session is not None and self._session.track.meeting_id == meeting_id
        if isinstance(error, MeetingGone) and (sends or not len(self._listening)):
            # Nothing is left to be said on this socket.
            raise Parted(WSCloseCode.POLICY_VIOLATION, error.code)

    def _end_session(self) -> AudioSession | None:
        session, self._session = self._session, None
        if session is not None and session.taking_watch is not None:
            session.taking_watch.cancel()
        return session

    async def _stop(self) -> None:
        session = self._session
        if session is None:
            raise NoSession
        await session.track.stop()
        self._end_session()
        self._outbox.tell(replies.session_stopped(session.track))

    async def _finish(self, said: MeetingFinish) -> None:
        if self._session is not None and self._session.track.meeting_id == said.meeting_id:
            # What this socket still buffers belongs to the meeting that ends.
            await self._stop()
        expected = {track: end.last_seq for track, end in said.tracks.items()}
        await self._parts.ingest.finish(self._caller, said.meeting_id, expected)
        # A feed that begins anew says where the meeting stands: the answer to this message.
        await self._listening.follow(said.meeting_id, after=None)

    def _require_no_session(self) -> None:
        if self._session is not None:
            raise SessionOpen

    def _on_ack(self, meeting_id: str) -> Callable[[AudioAck], None]:
        return lambda ack: self._outbox.tell(replies.audio_ack(meeting_id, ack))

    def _on_trouble(self, track: str) -> Callable[[AgentError | None], None]:
        def tell(error: AgentError | None) -> None:
            # That it is over is told by the acknowledgements that come again.
            if error is not None:
                self._tell_error(error, track=track)
                if error.fault is not Fault.TRANSIENT:
                    self._never_stored = error

        return tell

    def _alert_of_silence(self) -> None:
        alert = self._session.silence() if self._session is not None else None
        if self._session is not None and alert is not None:
            meeting_id = self._session.track.meeting_id
            self._outbox.tell(feed_message(meeting_id, AlertShown(alert)))

    def _shows(self, item: FeedItem) -> bool:
        if self._speaks_ours:
            return True
        return isinstance(item, Updated) and item.segment.is_final

    def _refuse(self, error: AgentError, **details: object) -> None:
        self._tell_error(error, **details)
        self.conduct.erred()
        if isinstance(error, NotFound | MeetingTaken | Forbidden):
            self.conduct.trespassed()

    def _tell_error(self, error: AgentError, **details: object) -> None:
        self._parts.probes.metrics.count(SOCKET_ERRORS, code=error.code)
        self._outbox.tell(replies.error(error, **details))

    def _count_message(self, kind: str) -> None:
        self._parts.probes.metrics.count(SOCKET_MESSAGES, type=kind)
