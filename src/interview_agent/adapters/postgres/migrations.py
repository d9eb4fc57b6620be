"""Forward-only migrations, applied in order under a lock."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import structlog

from interview_agent.domain.errors import StartupError

if TYPE_CHECKING:
    from interview_agent.adapters.postgres.database import Connection, Database

_LOCK_KEY = 7_165_001
"""Any number that nobody else takes as an advisory lock in this database."""

_LEDGER = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version    integer PRIMARY KEY,
    name       text NOT NULL,
    sha256     text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""

_UNFIT = (
    asyncpg.SyntaxOrAccessError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.DataError,
)
"""What a database says that holds something else than this release expects."""

log = structlog.get_logger(__name__)


class _TakenBack(Exception):
    """Ends the transaction of a rehearsal."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file of statements."""

    version: int
    name: str
    statements: str

    @property
    def sha256(self) -> str:
        """Digest of the statements, to notice a file that was edited after it was applied."""
        return hashlib.sha256(self.statements.encode()).hexdigest()


def sql_folder() -> Path:
    """Return the folder of our SQL: inside an installed package, or beside `src` in a checkout."""
    package = Path(__file__).resolve().parents[2]
    installed = package / "sql"
    return installed if installed.is_dir() else package.parents[1] / "sql"


def known_migrations() -> list[Migration]:
    """Return every migration of this release, in order."""
    files = sorted((sql_folder() / "migrations").glob("[0-9]*.sql"))
    return [
        Migration(int(file.name.split("_")[0]), file.stem, file.read_text(encoding="utf-8"))
        for file in files
    ]


async def _applied(connection: Connection) -> dict[int, str]:
    rows = await connection.fetch("SELECT version, sha256 FROM schema_migrations")
    return {row["version"]: row["sha256"] for row in rows}


async def migrate(database: Database) -> list[str]:
    """Apply what is missing and return its names; other processes wait meanwhile.

    All or none are applied. Raises `StartupError` when an applied migration was edited or one does
    not fit the database, and `DatabaseError`.
    """
    async with database.transaction() as connection:
        done = await _apply_missing(connection)
    if done:
        log.info("migrations_applied", names=done)
    return done


async def rehearse_migrations(database: Database) -> list[str]:
    """Apply what is missing, take it all back, and return its names.

    Locks what `migrate` would lock, for as long. Raises as `migrate` does.
    """
    done: list[str] = []
    with suppress(_TakenBack):
        async with database.transaction() as connection:
            done = await _apply_missing(connection)
            raise _TakenBack
    return done


async def _apply_missing(connection: Connection) -> list[str]:
    await connection.execute("SET LOCAL lock_timeout = 0")
    await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK_KEY, timeout=120)
    await connection.execute(_LEDGER)
    applied = await _applied(connection)
    done: list[str] = []
    for migration in known_migrations():
        if migration.version in applied:
            _check_unedited(migration, applied[migration.version])
            continue
        try:
            await connection.execute(migration.statements, timeout=600)
        except _UNFIT as error:
            message = f"migration {migration.name} cannot be applied here: {error}"
            raise StartupError(message) from error
        await connection.execute(
            "INSERT INTO schema_migrations (version, name, sha256) VALUES ($1, $2, $3)",
            migration.version,
            migration.name,
            migration.sha256,
        )
        done.append(migration.name)
    return done


async def missing_migrations(database: Database) -> list[str]:
    """Return the names of the migrations of this release that are not applied."""
    async with database.connection() as connection:
        known = await connection.fetchval("SELECT to_regclass('schema_migrations') IS NOT NULL")
        applied = await _applied(connection) if known else {}
    return [each.name for each in known_migrations() if each.version not in applied]


async def check_schema(database: Database) -> None:
    """Raise `StartupError` unless every migration of this release is applied."""
    if missing := await missing_migrations(database):
        message = (
            f"the database lacks the migrations {', '.join(missing)};"
            " run `interview-agent migrate` or set RUN_MIGRATIONS=true"
        )
        raise StartupError(message)


def _check_unedited(migration: Migration, sha256: str) -> None:
    if migration.sha256 != sha256:
        message = f"migration {migration.name} was edited after it had been applied"
        raise StartupError(message)
