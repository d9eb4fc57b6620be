"""Files that no chunk names: left by a crash between bytes and row."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from typing import TYPE_CHECKING

import pytest_asyncio

from interview_agent.adapters.local_fs import TEMPORARY_PREFIX, LocalFsBlobStore
from interview_agent.adapters.postgres import Database, PostgresArchive, PostgresIntake
from interview_agent.domain.errors import DatabaseError
from interview_agent.metrics import Metrics
from interview_agent.runtime.upkeep import ORPHAN_AGE_S, sweep_orphans
from work_bench import chunk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

OLD_S = ORPHAN_AGE_S + 60


@pytest_asyncio.fixture
async def folder(tmp_path: Path) -> Path:
    """Where the audio lies."""
    return tmp_path / "audio"


@pytest_asyncio.fixture
async def blobs(folder: Path) -> AsyncIterator[LocalFsBlobStore]:
    """A store in that folder."""
    made = LocalFsBlobStore(folder)
    await made.prepare()
    yield made
    await made.aclose()


def make_old(path: Path, age_s: float = OLD_S) -> None:
    then = time.time() - age_s
    os.utime(path, (then, then))


async def sweep_until(
    archive: PostgresArchive, blobs: LocalFsBlobStore, condition: Callable[[], bool]
) -> Metrics:
    """Sweep again and again until the condition holds; return what was counted."""
    metrics = Metrics("test")
    task = asyncio.create_task(sweep_orphans(archive, blobs, metrics, every_s=0.02))
    try:
        async with asyncio.timeout(10):
            while not condition():
                assert not task.done()
                await asyncio.sleep(0.01)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    return metrics


async def test_an_old_file_without_a_chunk_goes_and_all_others_stay(
    database: Database, blobs: LocalFsBlobStore, folder: Path
) -> None:
    named = chunk(0)
    await blobs.put(named.blob_key, b"audio")
    await PostgresIntake(database).accept(named)
    await blobs.put("meetings/m1/main/orphan.bin", b"left by a crash")
    await blobs.put("meetings/m1/main/under-way.bin", b"its row is being written")
    temporary = folder / "meetings" / "m1" / f"{TEMPORARY_PREFIX}abc"
    temporary.write_bytes(b"half of an upload")
    orphan = folder / "meetings/m1/main/orphan.bin"
    for path in (orphan, temporary, folder / named.blob_key):
        make_old(path)
    metrics = await sweep_until(
        PostgresArchive(database), blobs, lambda: not orphan.exists() and not temporary.exists()
    )
    assert 'agent_swept_total{kind="orphan_file"} 2' in metrics.render()
    assert (folder / named.blob_key).read_bytes() == b"audio"
    assert (folder / "meetings/m1/main/under-way.bin").exists()


async def test_files_beyond_one_batch_are_all_looked_at(
    database: Database, blobs: LocalFsBlobStore, folder: Path
) -> None:
    """Batches of 500 go to the database; the last one is smaller."""
    many = folder / "meetings" / "m1" / "main"
    many.mkdir(parents=True)
    for number in range(620):
        path = many / f"{number}.bin"
        path.write_bytes(b"x")
        make_old(path)
    await sweep_until(
        PostgresArchive(database), blobs, lambda: not many.exists() or not list(many.iterdir())
    )


class Away(PostgresArchive):
    """An archive whose database is away the first time."""

    asked = 0

    async def unreferenced(self, keys: Sequence[str]) -> list[str]:
        self.asked += 1
        if self.asked == 1:
            raise DatabaseError
        return await super().unreferenced(keys)


async def test_a_database_that_is_away_deletes_nothing_and_ends_nothing(
    database: Database, blobs: LocalFsBlobStore, folder: Path
) -> None:
    await blobs.put("meetings/m1/main/orphan.bin", b"x")
    orphan = folder / "meetings/m1/main/orphan.bin"
    make_old(orphan)
    archive = Away(database)
    await sweep_until(archive, blobs, lambda: archive.asked == 1)
    assert orphan.exists()
    await sweep_until(archive, blobs, lambda: not orphan.exists())
