"""Circuit breakers that all processes share, on the clock of the database."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from interview_agent.adapters.postgres.patience import PATIENCE_S, Patience
from interview_agent.domain.breaker import Breaker, BreakerState
from interview_agent.domain.errors import ConnectorCircuitOpen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from interview_agent.adapters.postgres.database import Database

_COLUMNS = "state, consecutive_failures, opened_at, last_error, updated_at"

_LOOK = f"""
SELECT {_COLUMNS}, extract(epoch FROM CASE state
    WHEN 'open' THEN opened_at + make_interval(secs => $2) ELSE probe_until END - now())::float8
    AS wait_s
FROM connector_breakers WHERE gateway = $1
"""

_TAKE_PROBE = f"""
UPDATE connector_breakers SET state = 'half_open', probe = probe + 1,
    probe_until = now() + make_interval(secs => $3), updated_at = now()
WHERE gateway = $1 AND CASE state
    WHEN 'open' THEN opened_at + make_interval(secs => $2) <= now()
    WHEN 'half_open' THEN probe_until IS NULL OR probe_until < now() ELSE false END
RETURNING {_COLUMNS}, probe
"""

_CLOSED = """
state = 'closed', consecutive_failures = 0, opened_at = NULL, last_error = NULL, good_probes = 0,
    probe_until = NULL, updated_at = now()
"""

# A call that was under way when the breaker opened, or while a probe runs, says nothing new.
_COUNT_FAILURE = f"""
INSERT INTO connector_breakers AS b (gateway, state, consecutive_failures, opened_at, last_error)
VALUES ($1, CASE WHEN $3 <= 1 THEN 'open' ELSE 'closed' END, 1,
    CASE WHEN $3 <= 1 THEN now() END, $2)
ON CONFLICT (gateway) DO UPDATE SET
    consecutive_failures = b.consecutive_failures + 1, last_error = $2, updated_at = now(),
    good_probes = 0,
    state = CASE WHEN b.consecutive_failures + 1 >= $3 THEN 'open' ELSE 'closed' END,
    opened_at = CASE WHEN b.consecutive_failures + 1 >= $3 THEN now() END
WHERE b.state = 'closed'
RETURNING {_COLUMNS}
"""

_PROBE_FAILED = f"""
UPDATE connector_breakers SET state = 'open', opened_at = now(), last_error = $3,
    consecutive_failures = consecutive_failures + 1, good_probes = 0, probe_until = NULL,
    updated_at = now()
WHERE gateway = $1 AND state = 'half_open' AND probe = $2 RETURNING {_COLUMNS}
"""

_GOOD_PROBE = """
UPDATE connector_breakers SET good_probes = good_probes + 1, updated_at = now()
WHERE gateway = $1 AND state <> 'closed'
RETURNING good_probes >= $2 AND opened_at <= now() - make_interval(secs => $3)
"""


def _breaker_of(row: Mapping[str, Any], probe: int | None = None) -> Breaker:
    return Breaker(
        state=BreakerState(row["state"]),
        consecutive_failures=row["consecutive_failures"],
        opened_at=row["opened_at"],
        last_error=row["last_error"],
        updated_at=row["updated_at"],
        probe=probe,
    )


def _shut(row: Mapping[str, Any]) -> ConnectorCircuitOpen:
    retry_after_s = max(math.ceil(row["wait_s"] or 0), 1)
    return ConnectorCircuitOpen(
        details={
            "retry_after_sec": retry_after_s,
            "consecutive_failures": row["consecutive_failures"],
        },
        retry_after_s=retry_after_s,
    )


class PostgresBreakers:
    """Implements `ports.connector_sessions.Breakers`."""

    def __init__(self, database: Database, *, patience_s: float = PATIENCE_S) -> None:
        self._database = database
        self._patience = Patience(patience_s)

    async def get(self, gateway: str) -> Breaker:
        return await self._patience.wait(self._get(gateway))

    async def _get(self, gateway: str) -> Breaker:
        row = await self._row(
            f"SELECT {_COLUMNS} FROM connector_breakers WHERE gateway = $1", gateway
        )
        return Breaker() if row is None else _breaker_of(row)

    async def _row(self, statement: str, *values: object) -> Mapping[str, Any] | None:
        async with self._database.connection() as connection:
            row: Mapping[str, Any] | None = await connection.fetchrow(statement, *values)
        return row

    async def enter(self, gateway: str, *, open_s: float, probe_s: float) -> Breaker:
        return await self._patience.wait(self._enter(gateway, open_s, probe_s))

    async def _enter(self, gateway: str, open_s: float, probe_s: float) -> Breaker:
        row = await self._row(_LOOK, gateway, open_s)
        if row is None:
            return Breaker()
        if row["state"] == BreakerState.CLOSED:
            return _breaker_of(row)
        probe = await self._row(_TAKE_PROBE, gateway, open_s, probe_s)
        if probe is None:
            raise _shut(row)
        return _breaker_of(probe, probe["probe"])

    async def succeeded(self, gateway: str, entered: Breaker) -> Breaker:
        if entered.probe is None and entered.consecutive_failures == 0:
            return entered
        return await self._patience.wait(self._succeeded(gateway, entered))

    async def _succeeded(self, gateway: str, entered: Breaker) -> Breaker:
        if entered.probe is None:
            row = await self._row(
                f"UPDATE connector_breakers SET {_CLOSED} WHERE gateway = $1 AND state = 'closed'"
                f" RETURNING {_COLUMNS}",
                gateway,
            )
        else:
            row = await self._row(
                f"UPDATE connector_breakers SET {_CLOSED}"
                f" WHERE gateway = $1 AND state = 'half_open' AND probe = $2 RETURNING {_COLUMNS}",
                gateway,
                entered.probe,
            )
        return await self._get(gateway) if row is None else _breaker_of(row)

    async def failed(
        self, gateway: str, entered: Breaker, error: str, *, threshold: int
    ) -> Breaker:
        return await self._patience.wait(self._failed(gateway, entered, error, threshold))

    async def _failed(self, gateway: str, entered: Breaker, error: str, threshold: int) -> Breaker:
        if entered.probe is None:
            row = await self._row(_COUNT_FAILURE, gateway, error, threshold)
        else:
            row = await self._row(_PROBE_FAILED, gateway, entered.probe, error)
        return await self._get(gateway) if row is None else _breaker_of(row)

    async def withdraw(self, gateway: str, entered: Breaker) -> None:
        if entered.probe is not None:
            await self._patience.wait(
                self._row(
                    "UPDATE connector_breakers SET probe_until = NULL"
                    " WHERE gateway = $1 AND state = 'half_open' AND probe = $2",
                    gateway,
                    entered.probe,
                )
            )

    async def good_probe(self, gateway: str, *, min_age_s: float, wanted: int) -> bool:
        return await self._patience.wait(self._good_probe(gateway, min_age_s, wanted))

    async def _good_probe(self, gateway: str, min_age_s: float, wanted: int) -> bool:
        async with self._database.transaction() as connection:
            enough = await connection.fetchval(_GOOD_PROBE, gateway, wanted, min_age_s)
            if enough:
                await connection.execute(
                    f"UPDATE connector_breakers SET {_CLOSED} WHERE gateway = $1", gateway
                )
        return bool(enough)

    async def bad_probe(self, gateway: str) -> None:
        await self._patience.wait(
            self._row(
                "UPDATE connector_breakers SET good_probes = 0"
                " WHERE gateway = $1 AND good_probes > 0",
                gateway,
            )
        )

    async def reset(self, gateway: str) -> Breaker:
        return await self._patience.wait(self._reset(gateway))

    async def _reset(self, gateway: str) -> Breaker:
        row = await self._row(
            "INSERT INTO connector_breakers (gateway) VALUES ($1)"
            f" ON CONFLICT (gateway) DO UPDATE SET {_CLOSED} RETURNING {_COLUMNS}",
            gateway,
        )
        return Breaker() if row is None else _breaker_of(row)
