"""Searches everything that a service stores for what should be gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncpg
from redis.asyncio import Redis

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

PROOF = frozenset({"deletions", "deleted_chunks"})
"""Tables that say what was deleted: ids and digests belong there, words do not."""


async def rows_with(dsn: str, needles: Iterable[str]) -> dict[str, set[str]]:
    """Return the tables in which a row contains each of the needles, which are lower case."""
    connection = await asyncpg.connect(dsn)
    try:
        tables = await connection.fetch(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
        )
        assert PROOF | {"meetings", "chunks"} <= {row["tablename"] for row in tables}
        found: dict[str, set[str]] = {needle: set() for needle in needles}
        for (table,) in tables:
            rows = await connection.fetch(f"SELECT lower(t::text) FROM {table} t")  # noqa: S608
            for needle, places in found.items():
                if any(needle in text for (text,) in rows):
                    places.add(table)
    finally:
        await connection.close()
    return found


def files_with(folders: Sequence[Path], needles: Iterable[bytes]) -> list[str]:
    """Return the files whose name or content contains any of the needles."""
    wanted = list(needles)
    return [
        str(path)
        for folder in folders
        for path in folder.rglob("*")
        if path.is_file()
        and any(needle in path.name.encode() or needle in path.read_bytes() for needle in wanted)
    ]


async def keys_with(redis_url: str, needles: Iterable[str]) -> list[str]:
    """Return the keys of a Redis whose name or value contains any of the needles."""
    wanted = [needle.encode() for needle in needles]
    client = Redis.from_url(redis_url)
    found = []
    try:
        async for key in client.scan_iter():
            value = key
            if await client.type(key) == b"stream":
                value += repr(await client.xrange(key)).encode()
            else:
                value += await client.dump(key) or b""
            if any(needle in value for needle in wanted):
                found.append(key.decode())
    finally:
        await client.aclose()
    return found
