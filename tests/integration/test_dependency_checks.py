"""What the live checks find out from real servers and a real folder."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg
from redis.asyncio import Redis

from interview_agent.adapters.local_fs import LocalFsBlobStore
from interview_agent.adapters.postgres import migrate, open_database
from interview_agent.adapters.postgres.installation import known_storage, remember_storage
from interview_agent.adapters.valkey import ValkeyWakeQueue
from interview_agent.compose.readiness import database_check, queue_check, storage_check
from interview_agent.domain.readiness import errors_in
from real_servers import database_dsn

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from interview_agent.adapters.embedded import EmbeddedAddresses
    from interview_agent.adapters.postgres import Database


async def until_shown(connection: asyncpg.Connection, name: str, value: str) -> None:
    async with asyncio.timeout(10):
        while await connection.fetchval("SELECT current_setting($1)", name) != value:
            await asyncio.sleep(0.02)


@asynccontextmanager
async def server_setting(dsn: str, name: str, value: str) -> AsyncIterator[None]:
    """Change a setting of the whole server for a while."""
    connection = await asyncpg.connect(dsn)
    usual = await connection.fetchval("SELECT current_setting($1)", name)
    try:
        await connection.execute(f"ALTER SYSTEM SET {name} = {value}")
        await connection.execute("SELECT pg_reload_conf()")
        await until_shown(connection, name, value)
        yield
    finally:
        await connection.execute(f"ALTER SYSTEM RESET {name}")
        await connection.execute("SELECT pg_reload_conf()")
        await until_shown(connection, name, usual)
        await connection.close()


async def test_a_database_as_it_should_be_has_no_issue(database: Database) -> None:
    assert await database_check(database, prod=True)() == []


async def test_a_server_that_does_not_sync_is_an_error_in_production(
    database: Database, dsn: str
) -> None:
    async with server_setting(dsn, "fsync", "off"):
        async with asyncio.timeout(10):
            while not (found := await database_check(database, prod=True)()):
                await asyncio.sleep(0.02)
        assert errors_in(found) == ("database_fsync_off",)
        assert errors_in(await database_check(database, prod=False)()) == ()


async def test_our_commits_wait_for_the_disk_whatever_the_server_does_by_default(
    database: Database, dsn: str
) -> None:
    async with server_setting(dsn, "synchronous_commit", "off"):
        assert await database_check(database, prod=True)() == []


async def test_a_schema_of_another_release_is_named(servers: EmbeddedAddresses, dsn: str) -> None:
    """A missing migration and a database without any schema are found, and change nothing."""
    connection = await asyncpg.connect(dsn)
    await connection.execute("DELETE FROM schema_migrations WHERE version = 3")
    await connection.execute("CREATE DATABASE never_migrated")
    await connection.close()
    for address, named in ((dsn, "0003"), (database_dsn(servers, "never_migrated"), "0001")):
        opened = await open_database(address, size=2, name="tests", connect_timeout_s=10)
        (issue,) = await database_check(opened, prod=False)()
        assert issue.code == "schema_behind"
        assert named in issue.message
        await opened.close()


async def test_a_server_that_evicts_is_worth_a_warning(servers: EmbeddedAddresses) -> None:
    assert servers.redis_url
    wake = ValkeyWakeQueue(
        servers.redis_url, stages=(), consumer="t", max_waiting=10, on_failure=lambda: None
    )
    client = Redis.from_url(servers.redis_url)
    try:
        assert await queue_check(wake)() == []
        await client.config_set("maxmemory-policy", "allkeys-lru")
        (issue,) = await queue_check(wake)()
        assert (issue.severity, issue.code) == ("warning", "redis_evicts")
    finally:
        await client.config_set("maxmemory-policy", "noeviction")
        await client.aclose()
        await wake.aclose()


async def test_a_share_that_is_away_is_told_from_a_disk_that_fails(tmp_path: Path) -> None:
    blobs = LocalFsBlobStore(tmp_path / "audio")
    await blobs.prepare()
    assert await storage_check(blobs.check)() == []
    (tmp_path / "audio").rename(tmp_path / "away")
    (issue,) = await storage_check(blobs.check)()
    assert issue.code == "storage_not_mounted"
    await blobs.aclose()


async def test_the_first_folder_of_an_installation_counts(
    servers: EmbeddedAddresses, database: Database
) -> None:
    """Of two processes that start at once, the slower one learns which folder it is."""
    assert await known_storage(database) is None
    noted = await asyncio.gather(
        *(remember_storage(database, marker) for marker in ("a", "b", "c"))
    )
    assert len(set(noted)) == 1
    assert await known_storage(database) == noted[0]
    assert await remember_storage(database, "later") == noted[0]


async def test_before_the_first_migration_no_folder_is_known(servers: EmbeddedAddresses) -> None:
    connection = await asyncpg.connect(servers.postgres_dsn)
    await connection.execute("CREATE DATABASE not_yet_migrated")
    await connection.close()
    address = database_dsn(servers, "not_yet_migrated")
    opened = await open_database(address, size=2, name="tests", connect_timeout_s=10)
    assert await known_storage(opened) is None
    await migrate(opened)
    assert await known_storage(opened) is None
    await opened.close()
