"""Which chunks are recorded, and which are duplicates or refused: one transaction each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from interview_agent.adapters.postgres.chunk_rows import record
from interview_agent.adapters.postgres.pull_marks import lock_fences, note_pulled
from interview_agent.domain.errors import (
    AgentError,
    Conflict,
    ConsentDenied,
    LeaseLost,
    MeetingGone,
    MeetingTaken,
    SessionTaken,
)
from interview_agent.domain.meeting import Consent
from interview_agent.ports.intake import NewChunk, Receipt

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from interview_agent.adapters.postgres.database import Connection
    from interview_agent.adapters.postgres.group_commit import Verdict
    from interview_agent.ports.live_sessions import NewLiveSession

OF_FRAMES = (
    "EXISTS (SELECT FROM live_sessions s WHERE s.meeting_id = {meeting} AND (s.track = {upload}"
    " OR s.track = {track} OR (s.channels > 1 AND {track} = ANY(SELECT s.track || '-' || channel"
    " FROM generate_series(0, s.channels - 1) AS split (channel)))))"
)
"""Whether a live session numbers a track, or the track that its sender named, by frames."""

STANDING = "owner, consent, deleted_at IS NOT NULL AS gone"
"""The columns of `Standing`."""

_Key = tuple[str, str, int]
_SessionKey = tuple[str, str]


class Standing(NamedTuple):
    """What decides whether a meeting takes anything from somebody."""

    owner: str
    consent: str
    gone: bool


@dataclass(frozen=True, slots=True)
class Stored:
    """What is stored under a number."""

    sha256: str
    blob_key: str
    idempotency_key: str


@dataclass(frozen=True, slots=True)
class _Known:
    """What was there before a batch of chunks that are numbered by seq."""

    meetings: Mapping[str, Standing]
    stored: dict[_Key, Stored]
    keys: dict[tuple[str, str, str], int]
    of_frames: set[tuple[str, str]]
    fences: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class _Session:
    session_id: str
    standing: Standing
    next_frame: int
    next_seq: int


def check_standing(caller: str, owner: str, *, gone: bool, any_owner: bool = False) -> None:
    """Raise `MeetingTaken` for a meeting of others, `MeetingGone` for one's own deleted one.

    With `any_owner` no meeting is that of others.
    """
    # To others a deleted meeting is what it was before.
    if owner != caller and not any_owner:
        raise MeetingTaken
    if gone:
        raise MeetingGone


def check_consent(consent: str) -> None:
    """Raise `ConsentDenied` for a meeting that must not be recorded."""
    if consent == Consent.DENIED:
        raise ConsentDenied


async def take_language(connection: Connection, meeting_id: str, language: str | None) -> None:
    """Let a meeting that has no language yet have this one."""
    if language is not None:
        await connection.execute(
            "UPDATE meetings SET language = $2"
            " WHERE meeting_id = $1 AND language IS NULL AND deleted_at IS NULL",
            meeting_id,
            language,
        )


def check_meeting(sender: NewChunk | NewLiveSession, meeting: Standing) -> None:
    """Raise an error unless the meeting takes this sender's audio.

    Raises `MeetingTaken`, `MeetingGone` or `ConsentDenied`.
    """
    check_standing(sender.owner, meeting.owner, gone=meeting.gone, any_owner=sender.any_owner)
    check_consent(meeting.consent)


def duplicate(chunk: NewChunk, stored: Stored) -> Receipt:
    """Return the receipt of what is stored. Raises `Conflict` when that is something else."""
    if stored.sha256 != chunk.sha256:
        message = "other bytes are already stored under this number"
        raise Conflict(message, details={"track": chunk.track, "seq": chunk.seq})
    return Receipt(stored.blob_key, stored.idempotency_key, duplicate=True)


def check_key(chunk: NewChunk, seq_of_key: int | None) -> None:
    """Raise `Conflict` when the idempotency key belongs to another number."""
    if seq_of_key is not None and seq_of_key != chunk.seq:
        message = "this idempotency key is already used for another number"
        raise Conflict(message, details={"seq": seq_of_key})


def check_numbering(chunk: NewChunk, of_frames: bool) -> None:
    """Raise `Conflict` for a chunk with a seq of its own on a track of frames."""
    if of_frames:
        message = "this track is numbered by the frames of a live session"
        raise Conflict(message, details={"track": chunk.track})


async def accept_chunks(connection: Connection, chunks: Sequence[NewChunk]) -> list[Verdict]:
    """Record the new ones among chunks that are numbered by their senders."""
    meetings = await _open_meetings(connection, chunks)
    fences = await lock_fences(connection, chunks)
    known = await _known(connection, chunks, meetings, fences)
    verdicts = await _settle(connection, chunks, lambda chunk: _judge_chunk(chunk, known))
    taken = [
        (chunk, verdict)
        for chunk, verdict in zip(chunks, verdicts, strict=True)
        if isinstance(verdict, Receipt)
    ]
    await note_pulled(connection, taken)
    return verdicts


async def accept_frames(connection: Connection, chunks: Sequence[NewChunk]) -> list[Verdict]:
    """Record the new ones among chunks of live sessions."""
    sessions = await _lock_sessions(connection, chunks)
    homeless = [chunk for chunk in chunks if _session_key(chunk) not in sessions]
    gone = await _deleted(connection, homeless) if homeless else set[str]()
    late = [chunk for chunk in chunks if _is_late(chunk, sessions.get(_session_key(chunk)))]
    stored = await _stored_frames(connection, late) if late else {}
    return await _settle(
        connection, chunks, lambda chunk: _judge_frames(chunk, sessions, stored, gone)
    )


async def _settle(
    connection: Connection, chunks: Sequence[NewChunk], judge: Callable[[NewChunk], Receipt]
) -> list[Verdict]:
    verdicts: list[Verdict] = []
    fresh: list[NewChunk] = []
    for chunk in chunks:
        try:
            receipt = judge(chunk)
        except AgentError as error:
            verdicts.append(error)
            continue
        verdicts.append(receipt)
        if not receipt.duplicate:
            fresh.append(chunk)
    await record(connection, fresh)
    return verdicts


async def _open_meetings(connection: Connection, chunks: Iterable[NewChunk]) -> dict[str, Standing]:
    owners = {chunk.meeting_id: chunk.owner for chunk in reversed(list(chunks))}
    ids = sorted(owners)
    await connection.execute(
        "INSERT INTO meetings (meeting_id, owner, mode, consent)"
        " SELECT id, owner, 'realtime', 'unknown'"
        " FROM unnest($1::text[], $2::text[]) AS new (id, owner) ON CONFLICT DO NOTHING",
        ids,
        [owners[each] for each in ids],
    )
    # The lock on the meeting makes the reads below hold until the commit; the order of ids
    # keeps two batches from waiting for each other.
    rows = await connection.fetch(
        f"SELECT meeting_id, {STANDING} FROM meetings WHERE meeting_id = ANY($1)"
        " ORDER BY meeting_id FOR UPDATE",
        ids,
    )
    return {row["meeting_id"]: Standing(row["owner"], row["consent"], row["gone"]) for row in rows}


async def _known(
    connection: Connection,
    chunks: Sequence[NewChunk],
    meetings: Mapping[str, Standing],
    fences: Mapping[str, int],
) -> _Known:
    asked = [(chunk, track) for chunk in chunks for track, _ in chunk.rows]
    of_frames = OF_FRAMES.format(
        meeting="new.meeting_id", upload="new.upload_track", track="new.track"
    )
    rows = await connection.fetch(
        "SELECT new.meeting_id, new.track, c.seq, c.sha256, c.blob_key, c.idempotency_key,"
        f" {of_frames} AS of_frames"
        " FROM unnest($1::text[], $2::text[], $3::int[], $4::text[], $5::text[])"
        " AS new (meeting_id, track, seq, key, upload_track) LEFT JOIN chunks c"
        " ON c.meeting_id = new.meeting_id AND c.track = new.track"
        " AND (c.seq = new.seq OR c.idempotency_key = new.key)",
        [chunk.meeting_id for chunk, _ in asked],
        [track for _, track in asked],
        [chunk.seq for chunk, _ in asked],
        [chunk.idempotency_key for chunk, _ in asked],
        [chunk.track for chunk, _ in asked],
    )
    known = _Known(meetings, {}, {}, set(), fences)
    for row in rows:
        if row["of_frames"]:
            known.of_frames.add((row["meeting_id"], row["track"]))
        if row["seq"] is not None:
            known.stored[row["meeting_id"], row["track"], row["seq"]] = Stored(
                row["sha256"], row["blob_key"] or "", row["idempotency_key"]
            )
            known.keys[row["meeting_id"], row["track"], row["idempotency_key"]] = row["seq"]
    return known


def _judge_chunk(chunk: NewChunk, known: _Known) -> Receipt:
    check_meeting(chunk, known.meetings[chunk.meeting_id])
    if chunk.pull is not None and chunk.pull.fence != known.fences.get(chunk.meeting_id):
        raise LeaseLost
    for track, _ in chunk.rows:
        check_numbering(chunk, (chunk.meeting_id, track) in known.of_frames)
        if stored := known.stored.get((chunk.meeting_id, track, chunk.seq)):
            return duplicate(chunk, stored)
        check_key(chunk, known.keys.get((chunk.meeting_id, track, chunk.idempotency_key)))
    for track, _ in chunk.rows:
        known.stored[chunk.meeting_id, track, chunk.seq] = Stored(
            chunk.sha256, chunk.blob_key, chunk.idempotency_key
        )
        known.keys[chunk.meeting_id, track, chunk.idempotency_key] = chunk.seq
    return Receipt(chunk.blob_key, chunk.idempotency_key, duplicate=False)


def _session_key(chunk: NewChunk) -> _SessionKey:
    return chunk.meeting_id, chunk.track


async def _lock_sessions(
    connection: Connection, chunks: Sequence[NewChunk]
) -> dict[_SessionKey, _Session]:
    # Locked rows are read as they are once the lock is had, so this one statement is enough.
    keys = sorted({_session_key(chunk) for chunk in chunks})
    rows = await connection.fetch(
        f"SELECT s.meeting_id, s.track, s.session_id, s.next_frame, s.next_seq, {STANDING}"
        " FROM unnest($1::text[], $2::text[]) AS new (meeting_id, track)"
        " JOIN meetings m USING (meeting_id) JOIN live_sessions s USING (meeting_id, track)"
        " ORDER BY s.meeting_id, s.track FOR UPDATE OF m, s",
        [meeting_id for meeting_id, _ in keys],
        [track for _, track in keys],
    )
    return {
        (row["meeting_id"], row["track"]): _Session(
            row["session_id"],
            Standing(row["owner"], row["consent"], row["gone"]),
            row["next_frame"],
            row["next_seq"],
        )
        for row in rows
    }


async def _deleted(connection: Connection, homeless: Sequence[NewChunk]) -> set[str]:
    """Return those meetings of their own that senders without a session have deleted."""
    rows = await connection.fetch(
        "SELECT DISTINCT meeting_id FROM unnest($1::text[], $2::text[]) AS new (meeting_id, owner)"
        " JOIN meetings USING (meeting_id, owner) WHERE deleted_at IS NOT NULL",
        [chunk.meeting_id for chunk in homeless],
        [chunk.owner for chunk in homeless],
    )
    return {row["meeting_id"] for row in rows}


def _is_late(chunk: NewChunk, session: _Session | None) -> bool:
    return session is not None and chunk.seq < session.next_seq


async def _stored_frames(
    connection: Connection, late: Sequence[NewChunk]
) -> dict[_Key, tuple[Stored, tuple[int, int]]]:
    rows = await connection.fetch(
        "SELECT c.meeting_id, c.upload_track, c.seq, c.sha256, c.blob_key, c.idempotency_key,"
        " c.first_frame, c.last_frame"
        " FROM unnest($1::text[], $2::text[], $3::int[]) AS late (meeting_id, track, seq)"
        " JOIN chunks c USING (meeting_id, track, seq)",
        [chunk.meeting_id for chunk in late],
        [chunk.rows[0][0] for chunk in late],
        [chunk.seq for chunk in late],
    )
    return {
        (row["meeting_id"], row["upload_track"], row["seq"]): (
            Stored(row["sha256"], row["blob_key"] or "", row["idempotency_key"]),
            (row["first_frame"], row["last_frame"]),
        )
        for row in rows
    }


def _judge_frames(
    chunk: NewChunk,
    sessions: dict[_SessionKey, _Session],
    stored: Mapping[_Key, tuple[Stored, tuple[int, int]]],
    gone: Collection[str],
) -> Receipt:
    session = sessions.get(_session_key(chunk))
    if session is None and chunk.meeting_id in gone:
        raise MeetingGone
    if session is None or session.session_id != chunk.session_id or chunk.frames is None:
        raise SessionTaken
    check_meeting(chunk, session.standing)
    if known := stored.get((chunk.meeting_id, chunk.track, chunk.seq)):
        # The sender did not learn that its commit had succeeded, and asks again.
        before, frames = known
        if frames != chunk.frames:
            raise SessionTaken
        return duplicate(chunk, before)
    first_frame, last_frame = chunk.frames
    if (first_frame, chunk.seq) != (session.next_frame, session.next_seq):
        raise SessionTaken
    sessions[_session_key(chunk)] = replace(
        session, next_frame=last_frame + 1, next_seq=chunk.seq + 1
    )
    return Receipt(chunk.blob_key, chunk.idempotency_key, duplicate=False)
