"""Rows of live sessions: who may write a track, and which meetings are held open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from interview_agent.adapters.postgres.accept import (
    STANDING,
    Standing,
    check_consent,
    check_meeting,
    take_language,
)
from interview_agent.adapters.postgres.patience import Patience
from interview_agent.adapters.postgres.quota import MeetingQuota
from interview_agent.domain.errors import (
    Conflict,
    ForeignMeeting,
    NotFound,
)
from interview_agent.domain.upload import split_names
from interview_agent.ports.live_sessions import LiveCapacity, LiveSession

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from interview_agent.adapters.postgres.database import Connection, Database
    from interview_agent.ports.live_sessions import NewLiveSession

OPEN_S = 60.0
"""How long an opened session holds its meeting unless it is held again."""

_WORKER_SILENCE_S = 30.0
"""A worker that was not seen for so long captions nothing any more."""

_COLUMNS = (
    "meeting_id, track, session_id, codec, sample_rate, channels, next_frame, next_seq, size_bytes"
)

_OPEN = f"""
INSERT INTO live_sessions AS s
    (meeting_id, track, session_id, codec, sample_rate, channels, open_until)
VALUES ($1, $2, $3, $4, $5, $6, now() + make_interval(secs => $7))
ON CONFLICT (meeting_id, track) DO UPDATE
    SET session_id = excluded.session_id, open_until = excluded.open_until
RETURNING {_COLUMNS}
"""

# A track of either that is also one of the other would get two chunks under one number.
_NUMBERED_OTHERWISE = """
SELECT EXISTS (SELECT FROM chunks WHERE meeting_id = $1 AND (track = ANY($2) OR upload_track = $3))
    OR EXISTS (SELECT FROM live_sessions s WHERE s.meeting_id = $1 AND (s.track = ANY($2)
        OR (s.channels > 1 AND $2 && (SELECT array_agg(s.track || '-' || channel)
            FROM generate_series(0, s.channels - 1) AS split (channel)))))
"""

# Rows are locked in the order in which those who store chunks lock them.
_HOLD = """
WITH held AS MATERIALIZED (
    SELECT s.meeting_id, s.track, s.session_id
    FROM unnest($1::text[], $2::text[], $3::text[]) AS mine (meeting_id, track, session_id)
    JOIN live_sessions s USING (meeting_id, track, session_id)
    ORDER BY s.meeting_id, s.track FOR UPDATE OF s
)
UPDATE live_sessions s
SET open_until = CASE WHEN s.open_until IS NOT NULL THEN now() + make_interval(secs => $4) END
FROM held WHERE s.meeting_id = held.meeting_id AND s.track = held.track
RETURNING s.session_id
"""


def _session_of(row: Mapping[str, Any]) -> LiveSession:
    return LiveSession(**dict(row))


class PostgresLiveSessions:
    """Implements `ports.live_sessions.LiveSessions`."""

    def __init__(self, database: Database, *, quota: MeetingQuota | None = None) -> None:
        self._database = database
        self._patience = Patience()
        self._quota = quota or MeetingQuota()

    async def open(self, new: NewLiveSession) -> LiveSession:
        return await self._patience.wait(self._open(new))

    async def _open(self, new: NewLiveSession) -> LiveSession:
        async with self._database.transaction() as connection:
            await self._quota.check(connection, new.owner, new.meeting_id)
            await connection.execute(
                "INSERT INTO meetings (meeting_id, owner, mode, consent, language)"
                " VALUES ($1, $2, 'realtime', 'unknown', $3) ON CONFLICT DO NOTHING",
                new.meeting_id,
                new.owner,
                new.language,
            )
            meeting = await connection.fetchrow(
                f"SELECT {STANDING} FROM meetings WHERE meeting_id = $1 FOR UPDATE",
                new.meeting_id,
            )
            check_meeting(new, Standing(*meeting))
            await self._check_track(connection, new)
            await take_language(connection, new.meeting_id, new.language)
            row = await connection.fetchrow(
                _OPEN,
                new.meeting_id,
                new.track,
                new.session_id,
                new.codec,
                new.sample_rate,
                new.channels,
                OPEN_S,
            )
        return _session_of(row)

    @staticmethod
    async def _check_track(connection: Connection, new: NewLiveSession) -> None:
        known = await connection.fetchrow(
            "SELECT codec, sample_rate, channels FROM live_sessions"
            " WHERE meeting_id = $1 AND track = $2",
            new.meeting_id,
            new.track,
        )
        if known is None:
            names = [new.track]
            if new.channels > 1:
                names += split_names(new.track, new.channels)
            if await connection.fetchval(_NUMBERED_OTHERWISE, new.meeting_id, names, new.track):
                message = "this track is numbered otherwise"
                raise Conflict(message, details={"track": new.track})
        elif tuple(known) != (new.codec, new.sample_rate, new.channels):
            message = "this track has another codec, rate or number of channels"
            raise Conflict(message, details={"track": new.track})

    async def resume(
        self, meeting_id: str, owner: str | None, track: str, session_id: str
    ) -> LiveSession:
        return await self._patience.wait(self._resume(meeting_id, owner, track, session_id))

    async def _resume(
        self, meeting_id: str, owner: str | None, track: str, session_id: str
    ) -> LiveSession:
        async with self._database.transaction() as connection:
            meeting = await connection.fetchrow(
                "SELECT owner, consent FROM meetings WHERE meeting_id = $1 AND deleted_at IS NULL"
                " FOR UPDATE",
                meeting_id,
            )
            if meeting is None:
                raise NotFound
            if owner is not None and meeting["owner"] != owner:
                raise ForeignMeeting
            row = await connection.fetchrow(
                "UPDATE live_sessions SET session_id = $3,"
                " open_until = now() + make_interval(secs => $4)"
                f" WHERE meeting_id = $1 AND track = $2 RETURNING {_COLUMNS}",
                meeting_id,
                track,
                session_id,
                OPEN_S,
            )
            if row is None:
                raise NotFound
            check_consent(meeting["consent"])
        return _session_of(row)

    async def hold(self, sessions: Sequence[LiveSession], hold_s: float) -> list[LiveSession]:
        return await self._patience.wait(self._hold(sessions, hold_s))

    async def _hold(self, sessions: Sequence[LiveSession], hold_s: float) -> list[LiveSession]:
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                _HOLD,
                [each.meeting_id for each in sessions],
                [each.track for each in sessions],
                [each.session_id for each in sessions],
                hold_s,
            )
        held = {row["session_id"] for row in rows}
        return [each for each in sessions if each.session_id not in held]

    async def stop(self, session: LiveSession) -> None:
        await self._patience.wait(self._stop(session))

    async def _stop(self, session: LiveSession) -> None:
        async with self._database.connection() as connection:
            await connection.execute(
                "UPDATE live_sessions SET open_until = NULL"
                " WHERE meeting_id = $1 AND track = $2 AND session_id = $3",
                session.meeting_id,
                session.track,
                session.session_id,
            )

    async def is_open(self, meeting_id: str, track: str) -> bool:
        return await self._patience.wait(self._is_open(meeting_id, track))

    async def _is_open(self, meeting_id: str, track: str) -> bool:
        async with self._database.connection() as connection:
            found: bool = await connection.fetchval(
                "SELECT EXISTS (SELECT FROM live_sessions"
                " WHERE meeting_id = $1 AND track = $2 AND open_until > now())",
                meeting_id,
                track,
            )
        return found

    async def capacity(self) -> LiveCapacity:
        return await self._patience.wait(self._capacity())

    async def _capacity(self) -> LiveCapacity:
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                "SELECT (SELECT sum(capacity) FROM live_workers"
                " WHERE seen_at > now() - make_interval(secs => $1)) AS capacity,"
                " (SELECT coalesce(sum(channels), 0) FROM live_sessions"
                " WHERE open_until > now()) AS open_streams",
                _WORKER_SILENCE_S,
            )
        return LiveCapacity(row["capacity"], row["open_streams"])
