"""The pool of connections, and what its faults mean to us."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import asyncpg

from interview_agent.domain.errors import DatabaseError, ValidationFailed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

Connection: TypeAlias = Any
"""An asyncpg connection, taken from the pool."""

_ACQUIRE_TIMEOUT_S = 3.0
_UNSTORABLE = (
    asyncpg.CharacterNotInRepertoireError,
    asyncpg.UntranslatableCharacterError,
    UnicodeEncodeError,
)
_UNREACHABLE = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    # What the driver says when the server hung up while it was in the middle of something.
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InvalidTransactionStateError,
    asyncpg.TransactionRollbackError,
    asyncpg.InsufficientResourcesError,
    asyncpg.ObjectNotInPrerequisiteStateError,
    asyncpg.OperatorInterventionError,
    asyncpg.PostgresSystemError,
    asyncpg.InternalServerError,
)
"""Faults of the server and the way to it, which pass. Any other is a fault of the statement, which
does not, and is raised as it is."""


async def _prepare(connection: Connection) -> None:
    for name in ("json", "jsonb"):
        await connection.set_type_codec(
            name, encoder=json.dumps, decoder=json.loads, schema="pg_catalog"
        )


class _PlainConnection(asyncpg.Connection):  # type: ignore[misc]
    """Goes back to the pool as it is.

    Nobody here sets anything for a session, listens on it or takes a lock of it, so the round trip
    that the driver makes to undo such things would be for nothing. A transaction that was left open
    is rolled back all the same.
    """

    __slots__ = ()

    def get_reset_query(self) -> str:
        """Return the statement that is sent whenever a connection was used: none."""
        return ""


class Database:
    """Hands out connections; a server that cannot be used now is a `DatabaseError`."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend a connection outside any transaction."""
        try:
            async with asyncio.timeout(_ACQUIRE_TIMEOUT_S):
                connection = await self._pool.acquire()
            try:
                yield connection
            finally:
                await self._pool.release(connection)
        except _UNSTORABLE as error:
            message = "the request holds characters that cannot be stored"
            raise ValidationFailed(message) from error
        except _UNREACHABLE as error:
            # The text of a driver's error may hold data of the caller or of the connection.
            raise DatabaseError(details={"cause": type(error).__name__}) from error
        except asyncpg.PostgresError as error:
            # It quotes the row, with names and what people said, and would be logged with that.
            error.detail = None
            raise

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Lend a connection inside a transaction that is durable once it has ended."""
        async with self.connection() as connection, connection.transaction():
            yield connection

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Connection]:
        """Lend a connection that sees everything as it is now, and changes nothing."""
        async with (
            self.connection() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            yield connection

    async def close(self) -> None:
        """Close every connection, waiting a moment for those in use."""
        try:
            async with asyncio.timeout(3.0):
                await self._pool.close()
        except (TimeoutError, *_UNREACHABLE):
            self._pool.terminate()


def rows_of(status: str) -> int:
    """Return how many rows a statement changed, from the status that the driver gives."""
    return int(status.rpartition(" ")[2])


async def open_database(dsn: str, *, size: int, name: str, connect_timeout_s: float) -> Database:
    """Connect to the server and return the pool.

    `name` is what the server's list of sessions shows. Raises `DatabaseError` when it does not
    answer within `connect_timeout_s`.
    """
    try:
        async with asyncio.timeout(connect_timeout_s):
            pool = await asyncpg.create_pool(
                dsn,
                min_size=1,
                max_size=size,
                init=_prepare,
                connection_class=_PlainConnection,
                command_timeout=10.0,
                max_inactive_connection_lifetime=300.0,
                server_settings={
                    "application_name": name,
                    "synchronous_commit": "on",
                    "lock_timeout": "5s",
                    # A process that was paused must not hold its locks for much longer than its
                    # leases: others wait for both.
                    "idle_in_transaction_session_timeout": "10s",
                    "timezone": "UTC",
                },
            )
    except (*_UNREACHABLE, asyncpg.PostgresError) as error:
        raise DatabaseError(details={"cause": type(error).__name__}) from error
    return Database(pool)
