"""Rows behind every acknowledgement; many accepts share one commit."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from interview_agent.adapters.postgres import schedule
from interview_agent.adapters.postgres.rows import MEETING_COLUMNS, meeting_of
from interview_agent.domain.errors import (
    AgentError,
    Conflict,
    ConsentDenied,
    DatabaseError,
    MeetingTaken,
    NotFound,
)
from interview_agent.domain.meeting import Consent, Meeting
from interview_agent.domain.route import Stage
from interview_agent.ports.intake import NewChunk, NewMeeting, Receipt
from interview_agent.ports.transcriber import JUDGED_BY_EARLIER_PARTS

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Mapping, Sequence

    from interview_agent.adapters.postgres.database import Connection, Database

MAX_BATCH = 256
"""Most chunks that share one commit."""

PATIENCE_S = 2.5
"""Longest wait of a sender for the database; a hanging server must not hold requests."""

_T = TypeVar("_T")

_Key = tuple[str, str, int]


@dataclass(slots=True)
class _Pending:
    chunk: NewChunk
    answer: asyncio.Future[Receipt]


@dataclass(frozen=True, slots=True)
class _Stored:
    sha256: str
    blob_key: str
    idempotency_key: str


def _check_meeting(chunk: NewChunk, owner: str, consent: str) -> None:
    if owner != chunk.owner:
        raise MeetingTaken
    if consent == Consent.DENIED:
        raise ConsentDenied


def _duplicate(chunk: NewChunk, stored: _Stored) -> Receipt:
    if stored.sha256 != chunk.sha256:
        message = "other bytes are already stored under this number"
        raise Conflict(message, details={"track": chunk.track, "seq": chunk.seq})
    return Receipt(stored.blob_key, stored.idempotency_key, duplicate=True)


def _check_key(chunk: NewChunk, seq_of_key: int | None) -> None:
    if seq_of_key is not None and seq_of_key != chunk.seq:
        message = "this idempotency key is already used for another number"
        raise Conflict(message, details={"seq": seq_of_key})


def _out_of_patience() -> DatabaseError:
    return DatabaseError(details={"cause": "TimeoutError"})


class PostgresIntake:
    """Implements `ports.intake.Intake`; a commit whose outcome is unknown is a `DatabaseError`."""

    def __init__(self, database: Database, *, patience_s: float = PATIENCE_S) -> None:
        self._database = database
        self._patience_s = patience_s
        self._abandoned: set[asyncio.Task[Any]] = set()
        self._pending: list[_Pending] = []
        self._flusher: asyncio.Task[None] | None = None

    async def start(self, new: NewMeeting) -> Meeting:
        return await self._in_time(self._start(new))

    async def _start(self, new: NewMeeting) -> Meeting:
        async with self._database.transaction() as connection:
            await connection.execute(
                "INSERT INTO meetings (meeting_id, owner, mode, language, consent, context,"
                " recipients) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
                new.meeting_id,
                new.owner,
                new.mode.value,
                new.language,
                new.consent.value,
                dict(new.context),
                list(new.recipients),
            )
            row = await connection.fetchrow(
                f"SELECT {MEETING_COLUMNS} FROM meetings WHERE meeting_id = $1",
                new.meeting_id,
            )
        meeting = meeting_of(row)
        if meeting.owner != new.owner:
            raise MeetingTaken
        return meeting

    async def admit_meeting(self, chunk: NewChunk) -> None:
        await self._in_time(self._admit_meeting(chunk))

    async def admit(self, chunk: NewChunk) -> Receipt | None:
        return await self._in_time(self._admit(chunk))

    async def _in_time(self, call: Coroutine[Any, Any, _T]) -> _T:
        # A call to a hanging server takes its time to be cancelled, so it is left to itself.
        task = asyncio.create_task(call)
        try:
            await asyncio.wait({task}, timeout=self._patience_s)
        finally:
            if not task.done():
                task.cancel()
                self._abandoned.add(task)
                task.add_done_callback(self._forget)
        if not task.done():
            raise _out_of_patience()
        return task.result()

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._abandoned.discard(task)
        if not task.cancelled():
            task.exception()

    async def _admit_meeting(self, chunk: NewChunk) -> None:
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                "SELECT owner, consent FROM meetings WHERE meeting_id = $1", chunk.meeting_id
            )
        if row is not None:
            _check_meeting(chunk, row["owner"], row["consent"])

    async def _admit(self, chunk: NewChunk) -> Receipt | None:
        track = chunk.rows[0][0]
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                "SELECT m.owner, m.consent, c.sha256, c.blob_key, c.idempotency_key,"
                " k.seq AS seq_of_key FROM meetings m"
                " LEFT JOIN chunks c ON c.meeting_id = $1 AND c.track = $2 AND c.seq = $3"
                " LEFT JOIN chunks k ON k.meeting_id = $1 AND k.track = $2"
                " AND k.idempotency_key = $4 WHERE m.meeting_id = $1",
                chunk.meeting_id,
                track,
                chunk.seq,
                chunk.idempotency_key,
            )
        if row is None:
            return None
        _check_meeting(chunk, row["owner"], row["consent"])
        if row["sha256"] is not None:
            return _duplicate(
                chunk, _Stored(row["sha256"], row["blob_key"] or "", row["idempotency_key"])
            )
        _check_key(chunk, row["seq_of_key"])
        return None

    async def accept(self, chunk: NewChunk) -> Receipt:
        pending = _Pending(chunk, asyncio.get_running_loop().create_future())
        self._pending.append(pending)
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._flush())
        done, _ = await asyncio.wait({pending.answer}, timeout=self._patience_s)
        if not done:
            pending.answer.cancel()
            raise _out_of_patience()
        return pending.answer.result()

    async def finish(self, meeting_id: str, expected_last_seq: Mapping[str, int]) -> Meeting:
        return await self._in_time(self._finish(meeting_id, expected_last_seq))

    async def _finish(self, meeting_id: str, expected_last_seq: Mapping[str, int]) -> Meeting:
        async with self._database.transaction() as connection:
            found = await connection.fetchval(
                "UPDATE meetings SET finish_requested_at = coalesce(finish_requested_at, now()),"
                " expected_last_seq = expected_last_seq || $2 WHERE meeting_id = $1 RETURNING 1",
                meeting_id,
                dict(expected_last_seq),
            )
            if found is None:
                raise NotFound
            await schedule.close_complete(connection, [meeting_id])
            await connection.execute(
                "UPDATE stage_work SET due_at = now() WHERE meeting_id = $1 AND stage = $2"
                " AND due_at > now() AND attempts = 0",
                meeting_id,
                Stage.DELIVERY.value,
            )
            row = await connection.fetchrow(
                f"SELECT {MEETING_COLUMNS} FROM meetings WHERE meeting_id = $1",
                meeting_id,
            )
        return meeting_of(row)

    async def _flush(self) -> None:
        # Whatever arrives while one commit is under way shares the next one. Nobody waits any
        # more for what was cancelled, and it was answered with a refusal.
        while self._pending:
            waiting = [each for each in self._pending if not each.answer.done()]
            batch, self._pending = waiting[:MAX_BATCH], waiting[MAX_BATCH:]
            for each, verdict in zip(batch, await self._verdicts(batch), strict=True):
                if each.answer.done():
                    continue
                if isinstance(verdict, Receipt):
                    each.answer.set_result(verdict)
                else:
                    each.answer.set_exception(verdict)

    async def _verdicts(self, batch: Sequence[_Pending]) -> Sequence[Receipt | Exception]:
        try:
            return await self._commit([each.chunk for each in batch])
        except DatabaseError as error:
            return [error] * len(batch)
        except Exception as error:  # noqa: BLE001 - each sender gets the error of its own chunk
            if len(batch) == 1:
                return [error]
        # One of them cannot be stored; the others must not suffer for it.
        return [verdict for each in batch for verdict in await self._verdicts([each])]

    async def _commit(self, chunks: Sequence[NewChunk]) -> list[Receipt | AgentError]:
        async with self._database.transaction() as connection:
            meetings = await self._open_meetings(connection, chunks)
            stored, keys = await self._stored(connection, chunks)
            verdicts: list[Receipt | AgentError] = []
            fresh: list[NewChunk] = []
            for chunk in chunks:
                try:
                    receipt = self._judge(chunk, meetings, stored, keys)
                except AgentError as error:
                    verdicts.append(error)
                    continue
                verdicts.append(receipt)
                if not receipt.duplicate:
                    fresh.append(chunk)
            if fresh:
                await self._insert(connection, fresh)
        return verdicts

    @staticmethod
    async def _open_meetings(
        connection: Connection, chunks: Iterable[NewChunk]
    ) -> dict[str, tuple[str, str]]:
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
            "SELECT meeting_id, owner, consent FROM meetings WHERE meeting_id = ANY($1)"
            " ORDER BY meeting_id FOR UPDATE",
            ids,
        )
        return {row["meeting_id"]: (row["owner"], row["consent"]) for row in rows}

    @staticmethod
    async def _stored(
        connection: Connection, chunks: Sequence[NewChunk]
    ) -> tuple[dict[_Key, _Stored], dict[tuple[str, str, str], int]]:
        asked = [(chunk, track) for chunk in chunks for track, _ in chunk.rows]
        rows = await connection.fetch(
            "SELECT c.meeting_id, c.track, c.seq, c.sha256, c.blob_key, c.idempotency_key"
            " FROM unnest($1::text[], $2::text[], $3::int[], $4::text[])"
            " AS new (meeting_id, track, seq, key) JOIN chunks c"
            " ON c.meeting_id = new.meeting_id AND c.track = new.track"
            " AND (c.seq = new.seq OR c.idempotency_key = new.key)",
            [chunk.meeting_id for chunk, _ in asked],
            [track for _, track in asked],
            [chunk.seq for chunk, _ in asked],
            [chunk.idempotency_key for chunk, _ in asked],
        )
        stored = {
            (row["meeting_id"], row["track"], row["seq"]): _Stored(
                row["sha256"], row["blob_key"] or "", row["idempotency_key"]
            )
            for row in rows
        }
        keys = {
            (row["meeting_id"], row["track"], row["idempotency_key"]): row["seq"] for row in rows
        }
        return stored, keys

    @staticmethod
    def _judge(
        chunk: NewChunk,
        meetings: Mapping[str, tuple[str, str]],
        stored: dict[_Key, _Stored],
        keys: dict[tuple[str, str, str], int],
    ) -> Receipt:
        _check_meeting(chunk, *meetings[chunk.meeting_id])
        for track, _ in chunk.rows:
            if known := stored.get((chunk.meeting_id, track, chunk.seq)):
                return _duplicate(chunk, known)
            _check_key(chunk, keys.get((chunk.meeting_id, track, chunk.idempotency_key)))
        for track, _ in chunk.rows:
            stored[chunk.meeting_id, track, chunk.seq] = _Stored(
                chunk.sha256, chunk.blob_key, chunk.idempotency_key
            )
            keys[chunk.meeting_id, track, chunk.idempotency_key] = chunk.seq
        return Receipt(chunk.blob_key, chunk.idempotency_key, duplicate=False)

    @staticmethod
    async def _insert(connection: Connection, chunks: Sequence[NewChunk]) -> None:
        rows = [(chunk, track, channel) for chunk in chunks for track, channel in chunk.rows]
        await connection.execute(
            "INSERT INTO tracks (meeting_id, track, speaker_hint)"
            " SELECT DISTINCT ON (meeting_id, track) meeting_id, track, hint"
            " FROM unnest($1::text[], $2::text[], $3::text[]) AS new (meeting_id, track, hint)"
            " ON CONFLICT (meeting_id, track) DO UPDATE SET speaker_hint = excluded.speaker_hint"
            " WHERE tracks.speaker_hint IS NULL AND excluded.speaker_hint IS NOT NULL",
            [chunk.meeting_id for chunk, _, _ in rows],
            [track for _, track, _ in rows],
            [chunk.speaker_hint for chunk, _, _ in rows],
        )
        await connection.execute(
            "INSERT INTO chunks (meeting_id, track, seq, sha256, size_bytes, blob_key, codec,"
            " sample_rate, channels, channel, idempotency_key, upload_track)"
            " SELECT * FROM unnest($1::text[], $2::text[], $3::int[], $4::text[], $5::bigint[],"
            " $6::text[], $7::text[], $8::int[], $9::smallint[], $10::smallint[], $11::text[],"
            " $12::text[])",
            [chunk.meeting_id for chunk, _, _ in rows],
            [track for _, track, _ in rows],
            [chunk.seq for chunk, _, _ in rows],
            [chunk.sha256 for chunk, _, _ in rows],
            [chunk.size_bytes for chunk, _, _ in rows],
            [chunk.blob_key for chunk, _, _ in rows],
            [chunk.codec for chunk, _, _ in rows],
            [chunk.sample_rate for chunk, _, _ in rows],
            [chunk.channels for chunk, _, _ in rows],
            [channel for _, _, channel in rows],
            [chunk.idempotency_key for chunk, _, _ in rows],
            [chunk.track for chunk, _, _ in rows],
        )
        await PostgresIntake._hear_again(connection, [(chunk, track) for chunk, track, _ in rows])
        counts: dict[str, int] = {}
        for chunk in chunks:
            counts[chunk.meeting_id] = counts.get(chunk.meeting_id, 0) + 1
        await connection.execute(
            "UPDATE meetings m SET audio_version = audio_version + new.count,"
            " last_audio_at = now() FROM unnest($1::text[], $2::bigint[]) AS new (id, count)"
            " WHERE m.meeting_id = new.id",
            list(counts),
            list(counts.values()),
        )
        traces = {(chunk.meeting_id, track): chunk.trace_id for chunk, track, _ in reversed(rows)}
        await schedule.want(
            connection,
            Stage.STT,
            [(meeting_id, track, trace) for (meeting_id, track), trace in traces.items()],
        )
        await schedule.close_complete(connection, list(counts), promised_only=True)

    @staticmethod
    async def _hear_again(connection: Connection, rows: Sequence[tuple[NewChunk, str]]) -> None:
        """Give chunks that failed for want of what came before them another hearing."""
        await connection.execute(
            "UPDATE chunks c SET state = 'pending', reason = NULL"
            " FROM unnest($1::text[], $2::text[], $3::int[]) AS new (meeting_id, track, seq)"
            " WHERE c.meeting_id = new.meeting_id AND c.track = new.track AND c.seq > new.seq"
            " AND c.state = 'failed' AND c.reason = ANY($4)",
            [chunk.meeting_id for chunk, _ in rows],
            [track for _, track in rows],
            [chunk.seq for chunk, _ in rows],
            JUDGED_BY_EARLIER_PARTS,
        )
