"""What a connection is like that somebody else has used before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from interview_agent.adapters.postgres import open_database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from interview_agent.adapters.postgres import Database


@pytest_asyncio.fixture
async def lone(dsn: str) -> AsyncIterator[Database]:
    """A pool that is in use as soon as one connection is."""
    opened = await open_database(dsn, size=1, name="tests", connect_timeout_s=10)
    yield opened
    await opened.close()


async def fail_halfway(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute("CREATE TEMP TABLE half_done ()")
        await connection.execute("SET LOCAL lock_timeout = '1ms'")
        raise ZeroDivisionError


async def test_a_connection_returns_to_the_pool_without_another_statement(
    lone: Database, database: Database
) -> None:
    async with lone.connection() as connection:
        backend = await connection.fetchval("SELECT pg_backend_pid()")
        await connection.execute("SELECT 'mine'")
    async with database.connection() as observer:
        newest = await observer.fetchval(
            "SELECT query FROM pg_stat_activity WHERE pid = $1", backend
        )
    assert newest == "SELECT 'mine'"


async def test_a_transaction_that_fails_leaves_nothing_to_the_next_user(lone: Database) -> None:
    with pytest.raises(ZeroDivisionError):
        await fail_halfway(lone)
    async with lone.connection() as connection:
        assert await connection.fetchval("SELECT to_regclass('half_done')") is None
        assert await connection.fetchval("SHOW lock_timeout") == "5s"
        assert not connection.is_in_transaction()
