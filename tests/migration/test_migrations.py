"""Migrations: what they add up to, and how they are applied."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from itertools import count
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
import pytest_asyncio

from interview_agent.adapters.postgres import Database, check_schema, migrate, open_database
from interview_agent.adapters.postgres.migrations import (
    known_migrations,
    rehearse_migrations,
    sql_folder,
)
from interview_agent.domain.errors import StartupError
from real_servers import database_dsn

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from interview_agent.adapters.embedded import EmbeddedAddresses

_numbers = count(1)
CATALOGS = {
    "columns": "SELECT table_name, ordinal_position, column_name, data_type, udt_name,"
    " is_nullable, column_default, collation_name FROM information_schema.columns"
    " WHERE table_schema = 'public' ORDER BY 1, 2",
    "constraints": "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid)"
    " FROM pg_constraint WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2",
    "indexes": "SELECT tablename, indexname, indexdef FROM pg_indexes"
    " WHERE schemaname = 'public' ORDER BY 1, 2",
    "comments": "SELECT objoid::regclass::text, objsubid, description FROM pg_description"
    " WHERE classoid = 'pg_class'::regclass AND objoid IN (SELECT oid FROM pg_class"
    " WHERE relnamespace = 'public'::regnamespace) ORDER BY 1, 2",
    "others": "SELECT proname::text AS name, 'function' AS kind FROM pg_proc"
    " WHERE pronamespace = 'public'::regnamespace"
    " UNION SELECT tgname, 'trigger' FROM pg_trigger WHERE NOT tgisinternal"
    " UNION SELECT relname, 'kind ' || relkind::text FROM pg_class"
    " WHERE relnamespace = 'public'::regnamespace AND relkind NOT IN ('i', 'r') ORDER BY 1, 2",
}
LEDGER = "schema_migrations"


async def catalog_of(connection: asyncpg.Connection) -> dict[str, list[tuple[Any, ...]]]:
    """Return everything that a schema consists of but the ledger of migrations itself."""
    found = {}
    for name, query in CATALOGS.items():
        rows = [tuple(row) for row in await connection.fetch(query)]
        found[name] = [row for row in rows if not str(row[0]).startswith(LEDGER)]
    return found


@pytest_asyncio.fixture
async def empty_dsn(servers: EmbeddedAddresses) -> str:
    """Address of a database without a single table."""
    name = f"empty_{os.getpid()}_{next(_numbers)}"
    connection = await asyncpg.connect(servers.postgres_dsn)
    await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()
    return database_dsn(servers, name)


@pytest_asyncio.fixture
async def empty(empty_dsn: str) -> AsyncIterator[Database]:
    """A pool of connections to a database without a single table."""
    opened = await open_database(empty_dsn, size=4, name="tests", connect_timeout_s=10)
    yield opened
    await opened.close()


@pytest.fixture
def outside(servers: EmbeddedAddresses, empty_dsn: str, tmp_path: Path) -> dict[str, str]:
    """The environment of another process that is to use the empty database."""
    return {
        **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        "DATA_DIR": str(tmp_path / "data"),
        "REDIS_URL": re.sub(r"/proc/self/fd/\d+", str(servers.socket_dir), servers.redis_url or ""),
        "POSTGRES_DSN": re.sub(r"/proc/self/fd/\d+", str(servers.socket_dir), empty_dsn),
        "STT_PROVIDER": "mock",
        "API_PORT": "0",
    }


async def command(folder: Path, environment: dict[str, str], *words: str) -> tuple[int, str, str]:
    """Run the command line and return its exit code, output and errors."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "interview_agent", *words),
        cwd=folder,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(90):
        output, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode(), errors.decode()


async def test_the_schema_file_is_what_all_migrations_add_up_to(
    empty: Database, database: Database
) -> None:
    async with empty.connection() as connection:
        await connection.execute((sql_folder() / "schema.sql").read_text(encoding="utf-8"))
        written = await catalog_of(connection)
    async with database.connection() as connection:
        applied = await catalog_of(connection)
    assert written == applied
    assert {row[0] for row in applied["columns"]} >= {"meetings", "chunks", "stage_work"}
    assert applied["comments"]
    assert applied["indexes"]


def test_migrations_are_numbered_from_one_without_a_hole() -> None:
    versions = [migration.version for migration in known_migrations()]
    assert versions == list(range(1, len(versions) + 1))


async def test_applying_twice_does_nothing_the_second_time(empty: Database) -> None:
    with pytest.raises(StartupError, match="0001_initial"):
        await check_schema(empty)
    assert await migrate(empty) == [migration.name for migration in known_migrations()]
    async with empty.connection() as connection:
        before = await catalog_of(connection)
        assert await migrate(empty) == []
        assert await catalog_of(connection) == before
    await check_schema(empty)


async def test_two_processes_at_once_apply_every_migration_once(
    outside: dict[str, str], tmp_path: Path
) -> None:
    answers = await asyncio.gather(*(command(tmp_path, outside, "migrate") for _ in range(2)))
    assert [code for code, _, _ in answers] == [0, 0], answers
    names = ", ".join(migration.name for migration in known_migrations())
    lines = sorted(output.strip().splitlines()[-1] for _, output, _ in answers)
    assert lines == [f"applied: {names}", "nothing to apply"]


async def test_looking_and_rehearsing_change_nothing(
    outside: dict[str, str], tmp_path: Path, empty: Database
) -> None:
    names = ", ".join(migration.name for migration in known_migrations())
    for flag, code, line in (
        ("--check", 1, f"missing: {names}"),
        ("--dry-run", 0, f"would be applied: {names}"),
    ):
        found, output, errors = await command(tmp_path, outside, "migrate", flag)
        assert (found, output.strip()) == (code, line), errors
        async with empty.connection() as connection:
            assert await connection.fetch("SELECT FROM pg_tables WHERE schemaname='public'") == []
    await migrate(empty)
    for flag in ("--check", "--dry-run"):
        found, output, _ = await command(tmp_path, outside, "migrate", flag)
        assert (found, output.strip()) == (0, "nothing to apply")


async def test_a_rehearsal_finds_what_does_not_fit(empty: Database) -> None:
    async with empty.connection() as connection:
        await connection.execute("CREATE TABLE deliveries (in_the_way integer)")
    with pytest.raises(StartupError, match="0001_initial cannot be applied here"):
        await rehearse_migrations(empty)


async def test_a_migration_edited_after_it_was_applied_is_refused(empty: Database) -> None:
    await migrate(empty)
    async with empty.connection() as connection:
        await connection.execute("UPDATE schema_migrations SET sha256 = 'of another text'")
    with pytest.raises(StartupError, match="0001_initial was edited"):
        await migrate(empty)


async def test_a_migration_that_fails_leaves_nothing_behind(empty: Database) -> None:
    async with empty.connection() as connection:
        await connection.execute("CREATE TABLE deliveries (in_the_way integer)")
    with pytest.raises(StartupError, match=r'0001_initial .*"deliveries" already exists'):
        await migrate(empty)
    async with empty.connection() as connection:
        tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname='public'")
    assert [row["tablename"] for row in tables] == ["deliveries"]


async def test_without_migrations_an_empty_database_stops_the_start_with_what_to_do(
    outside: dict[str, str], tmp_path: Path
) -> None:
    code, output, errors = await command(
        tmp_path, {**outside, "RUN_MIGRATIONS": "false"}, "--role=analytics"
    )
    assert code == 1
    assert "is ready" not in output
    sentence = errors.strip().splitlines()[-1]
    assert "lacks the migrations 0001_initial" in sentence
    assert "interview-agent migrate" in sentence
    assert "RUN_MIGRATIONS=true" in sentence
    assert "Traceback" not in errors
