"""Real servers for the whole session, a fresh database for each test."""

from __future__ import annotations

import os
import shutil
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import pytest_asyncio

from interview_agent.adapters.embedded import EmbeddedAddresses, EmbeddedStack
from interview_agent.adapters.postgres import Database, migrate, open_database
from memory_folder import memory_folder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


_numbers = count(1)


@pytest_asyncio.fixture(scope="session")
async def servers() -> AsyncIterator[EmbeddedAddresses]:
    """A PostgreSQL and a Valkey of this test run, or those that the environment names."""
    if given := os.environ.get("TEST_POSTGRES_DSN"):
        yield EmbeddedAddresses(given, os.environ["TEST_REDIS_URL"], Path())
        return
    folder = memory_folder("servers")
    stack = EmbeddedStack(folder / "data")
    try:
        yield await stack.start()
    finally:
        await stack.stop()
        shutil.rmtree(folder)


@pytest_asyncio.fixture(scope="session")
async def template(servers: EmbeddedAddresses) -> str:
    """Name of a database with every migration applied, to be cloned."""
    connection = await asyncpg.connect(servers.postgres_dsn)
    # Outer servers may have seen an earlier run.
    await connection.execute("DROP DATABASE IF EXISTS migrated")
    await connection.execute("CREATE DATABASE migrated")
    await connection.close()
    database = await open_database(
        database_dsn(servers, "migrated"), size=2, name="tests", connect_timeout_s=10
    )
    await migrate(database)
    await database.close()
    return "migrated"


@pytest_asyncio.fixture
async def dsn(servers: EmbeddedAddresses, template: str) -> AsyncIterator[str]:
    """Address of an empty, migrated database."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    connection = await asyncpg.connect(servers.postgres_dsn)
    await connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    yield database_dsn(servers, name)
    await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await connection.close()


@pytest_asyncio.fixture
async def database(dsn: str) -> AsyncIterator[Database]:
    """A pool of connections to an empty, migrated database."""
    opened = await open_database(dsn, size=8, name="tests", connect_timeout_s=10)
    yield opened
    await opened.close()


def database_dsn(servers: EmbeddedAddresses, name: str) -> str:
    """Return the address of another database of the same server."""
    before, _, query = servers.postgres_dsn.partition("?")
    return f"{before.rpartition('/')[0]}/{name}?{query}"
