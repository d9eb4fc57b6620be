"""What the database knows of itself and of the installation that it belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from interview_agent.adapters.postgres.database import Database


@dataclass(frozen=True, slots=True)
class Durability:
    """Whether what is committed on our connections survives a crash."""

    fsync: bool
    full_page_writes: bool
    synchronous_commit: bool


async def read_durability(database: Database) -> Durability:
    """Ask the server how it commits. Raises `DatabaseError`."""
    async with database.connection() as connection:
        row = await connection.fetchrow(
            "SELECT current_setting('fsync') = 'on' AS fsync,"
            " current_setting('full_page_writes') = 'on' AS full_page_writes,"
            " current_setting('synchronous_commit') <> 'off' AS synchronous_commit"
        )
    return Durability(**row)


async def known_storage(database: Database) -> str | None:
    """Return the marker of the folder that the audio of this installation lies in, if known."""
    async with database.connection() as connection:
        # Before the first start there is no schema.
        if await connection.fetchval("SELECT to_regclass('storage_identity')") is None:
            return None
        marker: str | None = await connection.fetchval("SELECT marker FROM storage_identity")
    return marker


async def remember_storage(database: Database, marker: str) -> str:
    """Note the marker unless one is known already, and return the one that counts."""
    async with database.transaction() as connection:
        await connection.execute(
            "INSERT INTO storage_identity (marker) VALUES ($1) ON CONFLICT DO NOTHING", marker
        )
        counts: str = await connection.fetchval("SELECT marker FROM storage_identity")
    return counts
