"""Audio as files, on a real disk."""

from __future__ import annotations

import asyncio
import hashlib
import os
import resource
import select
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from interview_agent.adapters.local_fs import MARKER, TEMPORARY_PREFIX, LocalFsBlobStore
from interview_agent.domain.errors import NotFound, StorageError, TooLarge

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest_asyncio.fixture
async def blobs(tmp_path: Path) -> AsyncIterator[LocalFsBlobStore]:
    store = LocalFsBlobStore(tmp_path / "chunks")
    await store.prepare()
    yield store
    await store.aclose()


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def keys(store: LocalFsBlobStore) -> list[str]:
    return sorted([key async for key, _ in store.scan()])


async def test_a_blob_is_read_as_it_was_written_and_only_by_us(
    blobs: LocalFsBlobStore, tmp_path: Path
) -> None:
    await blobs.put("meetings/m/main/1.bin", b"sound")
    with await blobs.open("meetings/m/main/1.bin") as file:
        assert file.read() == b"sound"
        assert os.fstat(file.fileno()).st_mode & 0o777 == 0o600
    assert (tmp_path / "chunks").stat().st_mode & 0o777 == 0o700


async def test_a_file_opened_for_a_reader_that_is_gone_is_closed(
    blobs: LocalFsBlobStore, tmp_path: Path
) -> None:
    pipe = tmp_path / "chunks" / "pipe.bin"
    os.mkfifo(pipe)
    reading = asyncio.create_task(blobs.open("pipe.bin"))
    await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    # Either end of a pipe is opened once the other one is.
    with await asyncio.to_thread(pipe.open, "wb", buffering=0) as writer:
        readers = select.poll()
        readers.register(writer, 0)
        assert await asyncio.to_thread(readers.poll, 5_000)


async def test_a_stream_is_named_by_its_digest(blobs: LocalFsBlobStore) -> None:
    facts = await blobs.put_stream(
        "meetings/m/main/0", pieces(b"a" * 70_000, b"b"), max_bytes=70_001
    )
    digest = hashlib.sha256(b"a" * 70_000 + b"b").hexdigest()
    assert (facts.sha256, facts.size_bytes) == (digest, 70_001)
    assert await keys(blobs) == [f"meetings/m/main/0-{digest[:32]}.bin"] == [facts.key]


async def test_a_stream_that_breaks_off_or_is_too_long_leaves_nothing(
    blobs: LocalFsBlobStore,
) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"a"
        raise ConnectionResetError

    with pytest.raises(StorageError):
        await blobs.put_stream("meetings/m/main/0", broken(), max_bytes=10)
    with pytest.raises(TooLarge):
        await blobs.put_stream("meetings/m/main/0", pieces(b"abc", b"def"), max_bytes=5)
    assert await keys(blobs) == []


@pytest.mark.parametrize("key", ["../x", "meetings/../../x", "/etc/x", "meetings//x", "a\0b", ""])
async def test_a_key_never_leaves_the_folder(blobs: LocalFsBlobStore, key: str) -> None:
    with pytest.raises(StorageError):
        await blobs.put(key, b"x")


async def test_a_full_disk_is_said_and_nothing_half_written_stays(tmp_path: Path) -> None:
    store = LocalFsBlobStore(tmp_path / "chunks")
    await store.prepare()
    await store.put("meetings/m/main/0.bin", b"x")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(StorageError):
            await store.put("meetings/m/main/1.bin", b"x" * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert await keys(store) == ["meetings/m/main/0.bin"]
    await store.put("meetings/m/main/1.bin", b"x" * 100_000)
    await store.aclose()


async def test_a_lost_blob_is_told_from_a_lost_store(
    blobs: LocalFsBlobStore, tmp_path: Path
) -> None:
    await blobs.put("meetings/m/main/0.bin", b"x")
    with pytest.raises(NotFound):
        await blobs.open("meetings/m/main/1.bin")
    (tmp_path / "chunks").rename(tmp_path / "elsewhere")
    with pytest.raises(StorageError):
        await blobs.open("meetings/m/main/0.bin")
    with pytest.raises(StorageError):
        await blobs.check()


async def test_deleting_removes_empty_folders_and_counts_what_was_there(
    blobs: LocalFsBlobStore, tmp_path: Path
) -> None:
    await blobs.put("meetings/m/main/0.bin", b"x")
    await blobs.put("meetings/n/main/0.bin", b"x")
    assert await blobs.delete(["meetings/m/main/0.bin", "meetings/m/main/9.bin"]) == 1
    assert not (tmp_path / "chunks" / "meetings" / "m").exists()
    assert await keys(blobs) == ["meetings/n/main/0.bin"]


async def test_a_left_over_temporary_file_is_seen_by_the_scan(
    blobs: LocalFsBlobStore, tmp_path: Path
) -> None:
    await blobs.put("meetings/m/main/0.bin", b"x")
    left = tmp_path / "chunks" / "meetings" / "m" / "main" / f"{TEMPORARY_PREFIX}1"
    left.write_bytes(b"half")
    assert f"meetings/m/main/{TEMPORARY_PREFIX}1" in await keys(blobs)
    await blobs.check()


async def test_an_empty_mount_point_is_not_written_to(
    blobs: LocalFsBlobStore, tmp_path: Path
) -> None:
    await blobs.put("meetings/m/main/0.bin", b"x")
    (tmp_path / "chunks").rename(tmp_path / "share")
    (tmp_path / "chunks").mkdir()
    for write in (blobs.put("meetings/m/main/1.bin", b"x"), blobs.check()):
        with pytest.raises(StorageError):
            await write
    with pytest.raises(StorageError):
        await blobs.open("meetings/m/main/0.bin")
    assert list((tmp_path / "chunks").iterdir()) == []
    (tmp_path / "chunks").rmdir()
    (tmp_path / "share").rename(tmp_path / "chunks")
    await blobs.put("meetings/m/main/1.bin", b"x")


async def test_what_was_written_again_is_too_young_to_be_deleted(
    blobs: LocalFsBlobStore, tmp_path: Path
) -> None:
    names = ["meetings/m/main/0.bin", "meetings/m/main/1.bin"]
    for name in names:
        await blobs.put(name, b"x")
        os.utime(tmp_path / "chunks" / name, (0, 0))
    await blobs.put(names[0], b"x")
    assert await blobs.delete(names, older_than_s=3600) == 1
    assert await keys(blobs) == [names[0]]


async def test_what_a_missing_share_holds_is_not_called_deleted(
    blobs: LocalFsBlobStore, tmp_path: Path
) -> None:
    await blobs.put("meetings/m/main/0.bin", b"x")
    (tmp_path / "chunks").rename(tmp_path / "share")
    (tmp_path / "chunks").mkdir()
    with pytest.raises(StorageError):
        await blobs.delete(["meetings/m/main/0.bin"])
    (tmp_path / "chunks").rmdir()
    (tmp_path / "share").rename(tmp_path / "chunks")
    assert await blobs.delete(["meetings/m/main/0.bin"]) == 1


@pytest.mark.parametrize("there", ["nothing", "an empty folder", "another store"])
async def test_a_store_that_is_expected_is_not_made_where_it_is_not(
    blobs: LocalFsBlobStore, tmp_path: Path, there: str
) -> None:
    marker = await blobs.prepare()
    place = tmp_path / "elsewhere"
    if there == "an empty folder":
        place.mkdir()
    elif there == "another store":
        other = LocalFsBlobStore(place)
        assert await other.prepare() != marker
        await other.aclose()
    before = list(tmp_path.rglob("*"))
    store = LocalFsBlobStore(place)
    with pytest.raises(StorageError) as caught:
        await store.prepare(marker)
    assert caught.value.details == {"cause": "not_mounted"}
    assert list(tmp_path.rglob("*")) == before
    await store.aclose()


async def test_a_store_that_is_expected_and_there_is_used(
    blobs: LocalFsBlobStore, tmp_path: Path
) -> None:
    marker = await blobs.prepare()
    # An operator who writes the marker by hand ends the line.
    (tmp_path / "chunks" / MARKER).write_text(f"{marker}\n")
    store = LocalFsBlobStore(tmp_path / "chunks")
    assert await store.prepare(marker) == marker
    await store.check()
    await store.aclose()


async def test_all_below_a_folder_goes_in_batches_and_nothing_beside_it(
    blobs: LocalFsBlobStore, tmp_path: Path
) -> None:
    for number in range(5):
        await blobs.put(f"meetings/m/t{number % 2}/{number}.bin", b"sound")
    (tmp_path / f"chunks/meetings/m/t0/{TEMPORARY_PREFIX}half").write_bytes(b"so")
    await blobs.put("meetings/m2/main/1.bin", b"sound")
    counts = [await blobs.delete_under("meetings/m", limit=4) for _ in range(3)]
    assert counts == [4, 2, 0]
    assert await keys(blobs) == ["meetings/m2/main/1.bin"]
    assert not (tmp_path / "chunks/meetings/m").exists()
    assert await blobs.delete_under("meetings/never-was", limit=4) == 0


async def test_what_is_being_written_while_its_folder_is_deleted_gets_no_name(
    blobs: LocalFsBlobStore,
) -> None:
    async def interrupted() -> AsyncIterator[bytes]:
        yield b"half"
        assert await blobs.delete_under("meetings/m", limit=10) == 1
        yield b"more"

    with pytest.raises(StorageError):
        await blobs.put_stream("meetings/m/main/0", interrupted(), max_bytes=100)
    assert await keys(blobs) == []


async def test_a_share_that_is_not_mounted_does_not_look_deleted(
    blobs: LocalFsBlobStore, tmp_path: Path
) -> None:
    await blobs.put("meetings/m/main/1.bin", b"sound")
    (tmp_path / "chunks").rename(tmp_path / "away")
    (tmp_path / "chunks").mkdir()
    with pytest.raises(StorageError):
        await blobs.delete_under("meetings/m", limit=10)


async def test_probes_of_several_processes_do_not_disturb_each_other(
    blobs: LocalFsBlobStore, tmp_path: Path
) -> None:
    other = LocalFsBlobStore(tmp_path / "chunks")
    await other.prepare()

    async def probe(store: LocalFsBlobStore) -> None:
        for _ in range(60):
            await store.check()

    await asyncio.gather(*map(probe, (blobs, other, blobs, other)))
    await other.aclose()
    assert list((tmp_path / "chunks" / "health").iterdir()) == []


async def test_a_probe_that_nobody_waits_for_any_more_leaves_nothing(
    blobs: LocalFsBlobStore, tmp_path: Path
) -> None:
    probes = [asyncio.create_task(blobs.check()) for _ in range(8)]
    await asyncio.sleep(0)
    for probe in probes:
        probe.cancel()
    await asyncio.gather(*probes, return_exceptions=True)
    await asyncio.to_thread(blobs._threads.shutdown)
    assert list((tmp_path / "chunks" / "health").iterdir()) == []


async def test_a_left_probe_is_seen_by_the_scan(blobs: LocalFsBlobStore, tmp_path: Path) -> None:
    await blobs.check()
    (tmp_path / "chunks" / "health" / "left.bin").write_bytes(b"x")
    assert await keys(blobs) == ["health/left.bin"]


async def test_a_blob_is_put_while_its_empty_folder_is_tidied_away(
    blobs: LocalFsBlobStore,
) -> None:
    """Every delete of the last file of a folder removes the folder."""

    async def put_and_delete(name: str) -> None:
        for _ in range(150):
            await blobs.put(name, b"sound")
            assert await blobs.delete([name]) == 1

    await asyncio.gather(*(put_and_delete(f"meetings/m/main/{n}.bin") for n in range(4)))
