"""Twins in memory of the ports that live audio goes through."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from interview_agent.domain.errors import Conflict, ConsentDenied, NotFound, SessionTaken
from interview_agent.domain.upload import split_names
from interview_agent.ports.intake import NewChunk, Receipt
from interview_agent.ports.live_sessions import LiveCapacity, LiveSession, NewLiveSession

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping, Sequence

    from interview_agent.domain.route import Stage

OPEN_S = 60.0


@dataclass
class _Meeting:
    owner: str
    language: str | None = None
    denied: bool = False


@dataclass
class _Row:
    session: LiveSession
    open_until_s: float | None


def _heard_as(track: str, channels: int) -> set[str]:
    return {track, *(split_names(track, channels) if channels > 1 else ())}


class MemoryRows:
    """Implements `ports.live_sessions.LiveSessions`, and of `ports.intake.Intake` what that needs.

    The errors in `faults_before` are raised one by one by `accept` before it does anything, those
    in `faults_after` when all is done. While there is a `gate`, `accept` waits for it first.
    """

    def __init__(self) -> None:
        self.meetings: dict[str, _Meeting] = {}
        self.sessions: dict[tuple[str, str], _Row] = {}
        self.chunks: list[NewChunk] = []
        self.workers: list[float] = []
        self.faults_before: list[Exception] = []
        self.faults_after: list[Exception] = []
        self.gate: asyncio.Event | None = None

    async def open(self, new: NewLiveSession) -> LiveSession:
        meeting = self.meetings.get(new.meeting_id) or _Meeting(new.owner, new.language)
        if meeting.owner != new.owner and not new.any_owner:
            raise Conflict
        if meeting.denied:
            raise ConsentDenied
        key = (new.meeting_id, new.track)
        if key not in self.sessions:
            self._check_unnumbered(new)
            session = LiveSession(
                *(new.meeting_id, new.track, new.session_id),
                *(new.codec, new.sample_rate, new.channels),
                *(0, 0, 0),
            )
        else:
            known = self.sessions[key].session
            form = (known.codec, known.sample_rate, known.channels)
            if form != (new.codec, new.sample_rate, new.channels):
                raise Conflict
            session = replace(known, session_id=new.session_id)
        meeting.language = meeting.language or new.language
        self.meetings[new.meeting_id] = meeting
        self.sessions[key] = _Row(session, time.monotonic() + OPEN_S)
        return session

    def _check_unnumbered(self, new: NewLiveSession) -> None:
        names = _heard_as(new.track, new.channels)
        for chunk in self.chunks:
            tracks = {chunk.track, *(track for track, _ in chunk.rows)}
            if chunk.meeting_id == new.meeting_id and tracks & names:
                raise Conflict
        for (meeting_id, track), row in self.sessions.items():
            if meeting_id == new.meeting_id and _heard_as(track, row.session.channels) & names:
                raise Conflict

    async def resume(
        self, meeting_id: str, owner: str | None, track: str, session_id: str
    ) -> LiveSession:
        meeting = self.meetings.get(meeting_id)
        row = self.sessions.get((meeting_id, track))
        if meeting is None or owner not in {None, meeting.owner} or row is None:
            raise NotFound
        if meeting.denied:
            raise ConsentDenied
        row.session = replace(row.session, session_id=session_id)
        row.open_until_s = time.monotonic() + OPEN_S
        return row.session

    async def hold(self, sessions: Sequence[LiveSession], hold_s: float) -> list[LiveSession]:
        taken = []
        for session in sessions:
            row = self.sessions.get((session.meeting_id, session.track))
            if row is None or row.session.session_id != session.session_id:
                taken.append(session)
            elif row.open_until_s is not None:
                row.open_until_s = time.monotonic() + hold_s
        return taken

    async def stop(self, session: LiveSession) -> None:
        row = self.sessions.get((session.meeting_id, session.track))
        if row is not None and row.session.session_id == session.session_id:
            row.open_until_s = None

    async def is_open(self, meeting_id: str, track: str) -> bool:
        row = self.sessions.get((meeting_id, track))
        return row is not None and (row.open_until_s or 0) > time.monotonic()

    async def capacity(self) -> LiveCapacity:
        now_s = time.monotonic()
        open_streams = sum(
            row.session.channels
            for row in self.sessions.values()
            if (row.open_until_s or 0) > now_s
        )
        return LiveCapacity(sum(self.workers) if self.workers else None, open_streams)

    async def admit(self, chunk: NewChunk) -> Receipt | None:
        raise NotImplementedError

    async def admit_meeting(self, chunk: NewChunk) -> None:
        raise NotImplementedError

    async def start(self, new: object) -> Any:
        raise NotImplementedError

    async def finish(self, meeting_id: str, expected_last_seq: Mapping[str, int]) -> Any:
        raise NotImplementedError

    async def accept(self, chunk: NewChunk) -> Receipt:
        if self.gate is not None:
            await self.gate.wait()
        if self.faults_before:
            raise self.faults_before.pop(0)
        receipt = self._accept(chunk)
        if self.faults_after:
            raise self.faults_after.pop(0)
        return receipt

    def _accept(self, chunk: NewChunk) -> Receipt:
        if chunk.frames is None:
            self.meetings.setdefault(chunk.meeting_id, _Meeting(chunk.owner))
            for (meeting_id, track), row in self.sessions.items():
                names = _heard_as(track, row.session.channels)
                tracks = {chunk.track, *(each for each, _ in chunk.rows)}
                if meeting_id == chunk.meeting_id and tracks & names:
                    raise Conflict
            self.chunks.append(chunk)
            return Receipt(chunk.blob_key, chunk.idempotency_key, duplicate=False)
        row = self.sessions.get((chunk.meeting_id, chunk.track))
        if row is None or row.session.session_id != chunk.session_id:
            raise SessionTaken
        if self.meetings[chunk.meeting_id].denied:
            raise ConsentDenied
        return self._next_frames(row, chunk, chunk.frames)

    def _next_frames(self, row: _Row, chunk: NewChunk, frames: tuple[int, int]) -> Receipt:
        for known in self.chunks:
            if (known.track, known.seq) == (chunk.track, chunk.seq):
                if known.frames != frames:
                    raise SessionTaken
                return Receipt(known.blob_key, known.idempotency_key, duplicate=True)
        session = row.session
        if (frames[0], chunk.seq) != (session.next_frame, session.next_seq):
            raise SessionTaken
        row.session = replace(
            session,
            next_frame=frames[1] + 1,
            next_seq=chunk.seq + 1,
            size_bytes=session.size_bytes + chunk.size_bytes,
        )
        self.chunks.append(chunk)
        return Receipt(chunk.blob_key, chunk.idempotency_key, duplicate=False)


class MemoryBlobs:
    """Of `ports.blob_store.BlobStore` what an accept needs; raises its `faults` one by one."""

    def __init__(self) -> None:
        self.bodies: dict[str, bytes] = {}
        self.faults: list[Exception] = []

    async def put(self, key: str, body: bytes) -> None:
        if self.faults:
            raise self.faults.pop(0)
        self.bodies[key] = body


class NotedWakeUps:
    """Of `ports.wake_queue.WakeQueue` what an accept needs; notes the hints."""

    def __init__(self) -> None:
        self.hints: list[tuple[Stage, str, str]] = []

    def notify(self, stage: Stage, meeting_id: str, track: str = "") -> None:
        self.hints.append((stage, meeting_id, track))
