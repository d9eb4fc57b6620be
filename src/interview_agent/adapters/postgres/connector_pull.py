"""Leases of pulling, places of pulled chunks, and what was seen of sessions meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from interview_agent.adapters.postgres.database import rows_of
from interview_agent.adapters.postgres.patience import PATIENCE_S, Patience
from interview_agent.domain.connector import SessionState
from interview_agent.domain.errors import LeaseLost
from interview_agent.domain.pulled_audio import TrackNumbering, number_chunks, track_of
from interview_agent.ports.connector_pull import (
    PullClaim,
    PulledPlace,
    PullReport,
    PullStanding,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from interview_agent.adapters.postgres.database import Connection, Database
    from interview_agent.ports.connector import Participant
    from interview_agent.ports.connector_pull import PulledChunk, PullNote

MOST_TRACKS = 256
"""Participants of one meeting that get a track; what others say has no place."""

_LET_IN = [
    state.value for state in SessionState if state.alive and state is not SessionState.REQUESTED
]
"""States in which a gateway has a bot of ours."""

_CONNECTED = [state.value for state in SessionState if state.connected]

_OPERATED = "s.op_until IS NOT NULL AND s.op_until > now()"

_CLAIM = """
WITH due AS MATERIALIZED (
    SELECT s.meeting_id FROM connector_sessions s JOIN meetings m USING (meeting_id)
    WHERE s.provider = $1 AND s.wanted AND s.state = ANY($2) AND m.deleted_at IS NULL
        AND (s.pull_until IS NULL OR s.pull_until < now())
        AND (s.pull_due_at IS NULL OR s.pull_due_at <= now())
    ORDER BY coalesce(s.pull_until, s.pull_due_at) NULLS FIRST, s.meeting_id
    LIMIT $5 FOR UPDATE OF s SKIP LOCKED
)
UPDATE connector_sessions s SET pull_owner = $3, pull_fence = s.pull_fence + 1,
    pull_until = now() + make_interval(secs => $4), pull_due_at = NULL
FROM due WHERE s.meeting_id = due.meeting_id
RETURNING s.meeting_id, s.pull_fence AS fence, s.epoch, s.state, s.cursor
"""

# Here and below rows are locked in the order in which those who store chunks lock them.
_REPORT = """
WITH due AS MATERIALIZED (
    SELECT s.meeting_id FROM connector_sessions s JOIN meetings m USING (meeting_id)
    WHERE s.provider = $1 AND m.deleted_at IS NULL AND (s.meeting_id = ANY($4)
        OR s.untold_chunks > 0 OR (s.wanted AND s.state = ANY($2)))
    ORDER BY s.meeting_id = ANY($4) DESC, s.untold_chunks DESC, s.meeting_id LIMIT $5
), told AS MATERIALIZED (
    SELECT s.meeting_id, s.state = ANY($3) AS connected, s.untold_chunks AS chunks,
        s.pull_failures > 0 AS failing
    FROM connector_sessions s WHERE s.meeting_id IN (SELECT meeting_id FROM due)
    ORDER BY s.meeting_id FOR UPDATE
), kept AS (
    UPDATE connector_sessions s SET untold_chunks = 0
    FROM told WHERE s.meeting_id = told.meeting_id AND told.chunks > 0
)
SELECT * FROM told
"""

_RENEW = f"""
WITH held AS MATERIALIZED (
    SELECT s.meeting_id, s.epoch, s.state, s.wanted AND m.deleted_at IS NULL AS wanted,
        {_OPERATED} AS operated
    FROM unnest($1::text[], $2::bigint[]) AS mine (meeting_id, fence)
    JOIN connector_sessions s ON s.meeting_id = mine.meeting_id AND s.pull_fence = mine.fence
        AND s.pull_until IS NOT NULL
    JOIN meetings m ON m.meeting_id = s.meeting_id
    ORDER BY s.meeting_id FOR UPDATE OF s
), kept AS (
    UPDATE connector_sessions s SET pull_until = now() + make_interval(secs => $3)
    FROM held WHERE s.meeting_id = held.meeting_id
)
SELECT * FROM held
"""

_NOTE = f"""
UPDATE connector_sessions s SET
    state = coalesce($4, s.state),
    reason = CASE WHEN $4::text IS NULL THEN s.reason ELSE $5 END,
    heartbeat_at = CASE WHEN $6 THEN now() ELSE s.heartbeat_at END,
    open_until = CASE WHEN $11 THEN NULL WHEN $6 THEN now() + make_interval(secs => $7)
        ELSE s.open_until END,
    pull_failures = CASE WHEN $9 THEN 0 ELSE s.pull_failures END,
    last_error = CASE WHEN $9 AND s.pull_failures > 0 THEN NULL ELSE s.last_error END,
    updated_at = now()
WHERE s.meeting_id = $1 AND s.pull_fence = $2 AND s.epoch = $3 AND s.state = ANY($10)
    AND NOT ($8 AND {_OPERATED})
"""

_NAMES = """
INSERT INTO connector_tracks AS t (meeting_id, participant_id, track, name)
SELECT $1, participant_id, track, name
FROM unnest($2::text[], $3::text[], $4::text[]) AS new (participant_id, track, name)
ON CONFLICT (meeting_id, participant_id) DO UPDATE SET name = excluded.name
WHERE excluded.name IS NOT NULL AND t.name IS DISTINCT FROM excluded.name
"""

_TRACKS = """
SELECT new.participant_id, t.participant_id IS NOT NULL AS there, t.name, t.join_epoch, t.epoch,
    t.base_seq, t.floor_seq,
    (SELECT max(seq) FROM chunks c WHERE c.meeting_id = $1 AND c.track = new.track) AS highest
FROM unnest($2::text[], $3::text[]) AS new (participant_id, track)
LEFT JOIN connector_tracks t ON t.meeting_id = $1 AND t.participant_id = new.participant_id
"""

_KNOWN = """
SELECT c.track, c.idempotency_key, c.seq
FROM unnest($2::text[], $3::text[]) AS new (track, key)
JOIN chunks c ON c.meeting_id = $1 AND c.track = new.track AND c.idempotency_key = new.key
"""

_NUMBER = """
INSERT INTO connector_tracks AS t
    (meeting_id, participant_id, track, name, join_epoch, epoch, base_seq, floor_seq)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (meeting_id, participant_id) DO UPDATE SET name = coalesce(excluded.name, t.name),
    join_epoch = excluded.join_epoch, epoch = excluded.epoch, base_seq = excluded.base_seq,
    floor_seq = excluded.floor_seq
"""


def _check(status: str) -> None:
    if rows_of(status) == 0:
        raise LeaseLost


class PostgresConnectorPulls:
    """Implements `ports.connector_pull.ConnectorPulls`."""

    def __init__(self, database: Database, *, patience_s: float = PATIENCE_S) -> None:
        self._database = database
        self._patience = Patience(patience_s)

    async def claim(
        self, provider: str, owner: str, *, lease_s: float, limit: int
    ) -> list[PullClaim]:
        rows = await self._patience.wait(
            self._fetch(_CLAIM, provider, _LET_IN, owner, lease_s, limit)
        )
        return [
            PullClaim(
                meeting_id=row["meeting_id"],
                fence=row["fence"],
                epoch=row["epoch"],
                state=SessionState(row["state"]),
                cursor=row["cursor"],
            )
            for row in rows
        ]

    async def report(self, provider: str, limit: int, *, first: Sequence[str]) -> list[PullReport]:
        rows = await self._patience.wait(
            self._fetch(_REPORT, provider, _LET_IN, _CONNECTED, list(first), limit)
        )
        return [PullReport(**row) for row in rows]

    async def renew(
        self, claims: Sequence[PullClaim], *, lease_s: float
    ) -> dict[str, PullStanding]:
        meeting_ids = [claim.meeting_id for claim in claims]
        fences = [claim.fence for claim in claims]
        rows = await self._patience.wait(self._fetch(_RENEW, meeting_ids, fences, lease_s))
        return {
            row["meeting_id"]: PullStanding(
                epoch=row["epoch"],
                state=SessionState(row["state"]),
                wanted=row["wanted"],
                operated=row["operated"],
            )
            for row in rows
        }

    async def release(self, claim: PullClaim, *, again_in_s: float = 0.0) -> None:
        await self._patience.wait(
            self._execute(
                "UPDATE connector_sessions SET pull_until = NULL, pull_owner = NULL,"
                " pull_due_at = now() + make_interval(secs => $3)"
                " WHERE meeting_id = $1 AND pull_fence = $2",
                claim.meeting_id,
                claim.fence,
                again_in_s,
            )
        )

    async def move_cursor(self, claim: PullClaim, cursor: str) -> None:
        _check(
            await self._patience.wait(
                self._execute(
                    "UPDATE connector_sessions SET cursor = $3"
                    " WHERE meeting_id = $1 AND pull_fence = $2",
                    claim.meeting_id,
                    claim.fence,
                    cursor,
                )
            )
        )

    async def failed(self, claim: PullClaim, error: str) -> int:
        rows = await self._patience.wait(
            self._fetch(
                "UPDATE connector_sessions SET pull_failures = pull_failures + 1,"
                " last_error = $3, updated_at = now()"
                " WHERE meeting_id = $1 AND pull_fence = $2 RETURNING pull_failures",
                claim.meeting_id,
                claim.fence,
                error,
            )
        )
        if not rows:
            raise LeaseLost
        failures: int = rows[0]["pull_failures"]
        return failures

    async def unwanted(self, claim: PullClaim, error: str) -> None:
        _check(
            await self._patience.wait(
                self._execute(
                    "UPDATE connector_sessions SET wanted = false, last_error = $3,"
                    " open_until = NULL, updated_at = now()"
                    " WHERE meeting_id = $1 AND pull_fence = $2",
                    claim.meeting_id,
                    claim.fence,
                    error,
                )
            )
        )

    async def note(self, claim: PullClaim, note: PullNote) -> bool:
        return await self._patience.wait(self._note(claim, note))

    async def _note(self, claim: PullClaim, note: PullNote) -> bool:
        over = note.state is not None and not note.state.alive
        lets_go = over and not (note.reason is not None and note.reason.may_rejoin)
        async with self._database.transaction() as connection:
            status = await connection.execute(
                _NOTE,
                claim.meeting_id,
                claim.fence,
                claim.epoch,
                note.state,
                note.reason,
                note.heartbeat,
                note.hold_s,
                over,
                note.pulled,
                _LET_IN,
                lets_go,
            )
            if rows_of(status) == 0:
                await self._check_fence(connection, claim)
                return False
            await self._learn_names(connection, claim, note.participants[:MOST_TRACKS])
        return True

    @staticmethod
    async def _learn_names(
        connection: Connection, claim: PullClaim, participants: Sequence[Participant]
    ) -> None:
        names = {each.participant_id: each.name for each in participants}
        if names:
            await connection.execute(
                _NAMES,
                claim.meeting_id,
                list(names),
                [track_of(participant_id) for participant_id in names],
                list(names.values()),
            )

    async def place(
        self, claim: PullClaim, chunks: Sequence[PulledChunk]
    ) -> list[PulledPlace | None]:
        return await self._patience.wait(self._place(claim, chunks))

    async def _place(
        self, claim: PullClaim, chunks: Sequence[PulledChunk]
    ) -> list[PulledPlace | None]:
        by_participant: dict[str, list[int]] = {}
        for at, chunk in enumerate(chunks):
            by_participant.setdefault(chunk.participant_id, []).append(at)
        places: list[PulledPlace | None] = [None] * len(chunks)
        async with self._database.transaction() as connection:
            join_epoch = await self._check_fence(connection, claim)
            known = await self._known(connection, claim, chunks)
            for row in await self._tracks(connection, claim, list(by_participant)):
                mine = by_participant[row["participant_id"]]
                track = track_of(row["participant_id"])
                given, name = await self._number(
                    connection,
                    claim,
                    row,
                    [chunks[at] for at in mine],
                    known=known.get(track, {}),
                    join_epoch=join_epoch,
                )
                for at, seq in zip(mine, given, strict=True):
                    places[at] = None if seq is None else PulledPlace(track, seq, name)
        return places

    @staticmethod
    async def _number(
        connection: Connection,
        claim: PullClaim,
        row: Mapping[str, Any],
        chunks: Sequence[PulledChunk],
        *,
        known: Mapping[str, int],
        join_epoch: int,
    ) -> tuple[list[int | None], str | None]:
        """Number the chunks of one participant, whose row of `_TRACKS` this is."""
        before = None
        if row["there"] and row["join_epoch"] >= 0:
            before = TrackNumbering(
                row["join_epoch"], row["epoch"], row["base_seq"], row["floor_seq"]
            )
        given, after = number_chunks(
            [chunk.number for chunk in chunks],
            before,
            join_epoch=join_epoch,
            known=known,
            highest=row["highest"],
        )
        told = next((chunk.name for chunk in reversed(chunks) if chunk.name), None)
        name: str | None = told or row["name"]
        if after is not None and (after != before or name != row["name"]):
            await connection.execute(
                _NUMBER,
                claim.meeting_id,
                row["participant_id"],
                track_of(row["participant_id"]),
                name,
                after.join_epoch,
                after.epoch,
                after.base_seq,
                after.floor_seq,
            )
        return given, name

    @staticmethod
    async def _known(
        connection: Connection, claim: PullClaim, chunks: Sequence[PulledChunk]
    ) -> dict[str, dict[str, int]]:
        """Return the numbers of stored chunks by track and key."""
        rows = await connection.fetch(
            _KNOWN,
            claim.meeting_id,
            [track_of(chunk.participant_id) for chunk in chunks],
            [chunk.number.key for chunk in chunks],
        )
        known: dict[str, dict[str, int]] = {}
        for row in rows:
            known.setdefault(row["track"], {})[row["idempotency_key"]] = row["seq"]
        return known

    @staticmethod
    async def _tracks(
        connection: Connection, claim: PullClaim, participant_ids: Sequence[str]
    ) -> list[Mapping[str, Any]]:
        rows = await connection.fetch(
            _TRACKS,
            claim.meeting_id,
            participant_ids,
            [track_of(participant_id) for participant_id in participant_ids],
        )
        count: int = await connection.fetchval(
            "SELECT count(*) FROM connector_tracks WHERE meeting_id = $1", claim.meeting_id
        )
        room = max(MOST_TRACKS - count, 0)
        fresh = [row for row in rows if not row["there"]][:room]
        return [row for row in rows if row["there"]] + fresh

    @staticmethod
    async def _check_fence(connection: Connection, claim: PullClaim) -> int:
        """Lock the session and return its epoch."""
        epoch: int | None = await connection.fetchval(
            "SELECT epoch FROM connector_sessions WHERE meeting_id = $1 AND pull_fence = $2"
            " FOR UPDATE",
            claim.meeting_id,
            claim.fence,
        )
        if epoch is None:
            raise LeaseLost
        return epoch

    async def _fetch(self, statement: str, *values: object) -> list[Mapping[str, Any]]:
        async with self._database.connection() as connection:
            rows: list[Mapping[str, Any]] = await connection.fetch(statement, *values)
        return rows

    async def _execute(self, statement: str, *values: object) -> str:
        async with self._database.connection() as connection:
            status: str = await connection.execute(statement, *values)
        return status
