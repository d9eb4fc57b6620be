"""The accept path of all audio: bytes, then row, then answer, then wake-up."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from interview_agent.domain.errors import (
    BadAudio,
    MeetingGone,
    Stopping,
)
from interview_agent.domain.ids import check_name, new_meeting_id
from interview_agent.domain.meeting import Consent, Meeting, Mode
from interview_agent.domain.route import Stage
from interview_agent.domain.upload import check_upload, codec_of
from interview_agent.ports.archive import meeting_for
from interview_agent.ports.intake import Intake, NewChunk, NewMeeting, Receipt

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from datetime import datetime

    from interview_agent.domain.identity import Identity
    from interview_agent.domain.upload import Upload
    from interview_agent.ports.archive import Archive
    from interview_agent.ports.blob_store import BlobStore
    from interview_agent.ports.wake_queue import WakeQueue


@dataclass(frozen=True, slots=True)
class StartRequest:
    """What a caller says about a meeting; without an id one is made."""

    meeting_id: str | None = None
    mode: Mode = Mode.REALTIME
    language: str | None = None
    consent: Consent = Consent.UNKNOWN
    context: Mapping[str, Any] = field(default_factory=dict)
    recipients: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Accepted:
    """The answer to an upload: the receipt and the tracks that will be heard."""

    receipt: Receipt
    tracks: tuple[str, ...]
    sha256: str
    size_bytes: int


class WaitingAudio(Protocol):
    """Knows how much audio of an owner waits."""

    def check(self, owner: str) -> None:
        """Raise `BacklogFull` when no more may wait."""
        ...

    def accepted(self, owner: str) -> None:
        """Count a chunk that was accepted now."""
        ...


class Ingest:
    """Takes in meetings and audio.

    `clock` gives the time in UTC. Once `accepting` is false, new audio is turned away with
    `Stopping`, and with `BacklogFull` while the `backlog` of its owner is full; what a live session
    took before is stored.
    """

    def __init__(
        self,
        intake: Intake,
        archive: Archive,
        blobs: BlobStore,
        wake: WakeQueue,
        *,
        clock: Callable[[], datetime],
        accepting: Callable[[], bool] = lambda: True,
        backlog: WaitingAudio | None = None,
    ) -> None:
        self._intake = intake
        self._backlog = backlog
        self._archive = archive
        self._blobs = blobs
        self._wake = wake
        self._clock = clock
        self._accepting = accepting

    async def start(self, caller: Identity, request: StartRequest) -> Meeting:
        """Create a meeting, or return the caller's own one of that id as it is.

        Raises `ValidationFailed` for a bad id, `Conflict` for somebody else's and `MeetingGone`
        for a deleted one.
        """
        meeting_id = request.meeting_id or new_meeting_id(self._clock(), secrets.token_hex(5))
        return await self._intake.start(
            NewMeeting(
                meeting_id=check_name(meeting_id, "meeting_id"),
                owner=caller.owner,
                mode=request.mode,
                language=request.language,
                consent=request.consent,
                context=request.context,
                recipients=request.recipients,
            )
        )

    async def chunk(self, caller: Identity, upload: Upload, body: bytes) -> Accepted:
        """Make one chunk durable; what is returned for survives any crash.

        Raises `ValidationFailed`, `BadAudio` for an empty body, `Conflict`, `ConsentDenied`,
        `SessionTaken`, `LeaseLost`, `MeetingGone`, `Backpressure`, `BacklogFull`, `StorageError`
        and `DatabaseError`; nothing of the chunk is visible then.
        """
        check_upload(upload)
        if upload.session_id is None:
            self._check_open()
        if not body:
            message = "the chunk is empty"
            raise BadAudio(message)
        sha256 = hashlib.sha256(body).hexdigest()
        key = f"{self._key_prefix(upload)}-{sha256[:32]}.bin"
        chunk = self._new_chunk(caller, upload, sha256=sha256, size_bytes=len(body), key=key)
        # A live session was let in when it opened, and numbers its chunks itself.
        receipt = None if chunk.session_id else await self._intake.admit(chunk)
        if receipt is None:
            self._check_backlog(chunk)
            await self._blobs.put(key, body)
            receipt = await self._record(chunk)
            if upload.wake:
                self._wake_up(chunk)
        return self._accepted(chunk, receipt)

    async def recording(
        self,
        caller: Identity,
        upload: Upload,
        body: AsyncIterator[bytes],
        *,
        max_bytes: int,
    ) -> Accepted:
        """Make a whole file durable as one chunk without holding it in memory.

        Raises as `chunk` does, and `TooLarge` past `max_bytes`.
        """
        check_upload(upload)
        self._check_open()
        probe = self._new_chunk(caller, upload, sha256="", size_bytes=0, key="")
        await self._intake.admit_meeting(probe)
        self._check_backlog(probe)
        facts = await self._blobs.put_stream(self._key_prefix(upload), body, max_bytes=max_bytes)
        if facts.size_bytes == 0:
            await self._blobs.delete([facts.key])
            message = "the recording is empty"
            raise BadAudio(message)
        chunk = self._new_chunk(
            caller, upload, sha256=facts.sha256, size_bytes=facts.size_bytes, key=facts.key
        )
        receipt = await self._record(chunk)
        self._wake_up(chunk)
        return self._accepted(chunk, receipt)

    async def finish(
        self, caller: Identity, meeting_id: str, expected_last_seq: Mapping[str, int]
    ) -> Meeting:
        """Say that the meeting is over; asking again changes nothing. Raises `NotFound`."""
        check_name(meeting_id, "meeting_id")
        await meeting_for(caller, meeting_id, self._archive)
        meeting = await self._intake.finish(meeting_id, expected_last_seq)
        for stage in (Stage.LIVE, Stage.STT):
            self._wake.notify(stage, meeting_id)
        return meeting

    async def _record(self, chunk: NewChunk) -> Receipt:
        try:
            receipt = await self._intake.accept(chunk)
        except MeetingGone:
            # It was deleted since this chunk was let in, and its erasure may have been here before.
            await self._blobs.delete([chunk.blob_key])
            raise
        if self._backlog is not None and not chunk.live and not receipt.duplicate:
            self._backlog.accepted(chunk.owner)
        return receipt

    def _check_open(self) -> None:
        if not self._accepting():
            raise Stopping

    def _check_backlog(self, chunk: NewChunk) -> None:
        # A live track may go on: how many of them there are is bounded when they are opened.
        if self._backlog is not None and not chunk.live and chunk.session_id is None:
            self._backlog.check(chunk.owner)

    @staticmethod
    def _key_prefix(upload: Upload) -> str:
        return f"meetings/{upload.meeting_id}/{upload.track}/{upload.seq:010d}"

    def _new_chunk(
        self, caller: Identity, upload: Upload, *, sha256: str, size_bytes: int, key: str
    ) -> NewChunk:
        form = upload.form
        return NewChunk(
            meeting_id=upload.meeting_id,
            owner=caller.owner,
            track=upload.track,
            seq=upload.seq,
            sha256=sha256,
            size_bytes=size_bytes,
            blob_key=key,
            codec=codec_of(form),
            sample_rate=form.sample_rate,
            channels=form.channels,
            idempotency_key=upload.idempotency_key or f"http-chunk_{secrets.token_hex(16)}",
            channel_tracks=upload.channel_tracks,
            speaker_hint=form.speaker_hint,
            trace_id=upload.trace_id,
            live=form.live,
            frames=upload.frames,
            session_id=upload.session_id,
            pull=upload.pull,
            any_owner=caller.is_service,
        )

    def _wake_up(self, chunk: NewChunk) -> None:
        # A lost wake-up is repaired by the workers' own polling, so the answer never waits for it.
        stage = Stage.LIVE if chunk.live else Stage.STT
        for track, _ in chunk.rows:
            self._wake.notify(stage, chunk.meeting_id, track)

    @staticmethod
    def _accepted(chunk: NewChunk, receipt: Receipt) -> Accepted:
        return Accepted(
            receipt=receipt,
            tracks=tuple(track for track, _ in chunk.rows),
            sha256=chunk.sha256,
            size_bytes=chunk.size_bytes,
        )
