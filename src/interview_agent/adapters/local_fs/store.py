"""Audio as immutable files, on a local disk or a folder that several machines share."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import secrets
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, ParamSpec, TypeVar

import aiofiles

from interview_agent.adapters.local_fs.files import (
    leave_folder,
    name_file,
    name_once,
    open_below,
    open_folder,
    open_to_read,
    private,
    sync_folder,
    temporary_name,
    write_new,
    write_whole,
)
from interview_agent.domain.errors import NotFound, StorageError, TooLarge
from interview_agent.ports.blob_store import BlobFacts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

_P = ParamSpec("_P")
_T = TypeVar("_T")

MARKER = ".storage-id"
_PROBES = "health"
_THREADS = 8
_FOLDERS_REMEMBERED = 10_000
_TIDIED_AWAY_TIMES = 9
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}


@contextmanager
def _faults() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        cause = errno.errorcode.get(error.errno or 0, type(error).__name__)
        if error.errno in _NO_SPACE:
            message = "the storage is full"
            raise StorageError(message, details={"cause": cause}, retry_after_s=5) from error
        raise StorageError(details={"cause": cause}, retry_after_s=2) from error


def _read(path: Path) -> BinaryIO:
    return path.open("rb")


def _close(file: BinaryIO) -> None:
    file.close()


def _close_late(close: Callable[[_T], None], opening: asyncio.Future[_T]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        close(opening.result())


class LocalFsBlobStore:
    """Implements `ports.blob_store.BlobStore` in a folder.

    Every file is whole before it has its name, and synced together with that; threads of its own
    keep a slow disk away from everything else. A marker tells the folder from the empty
    mount point of a share that has gone; nothing is written or called lost there. Call `prepare`
    first.
    """

    def __init__(self, base_dir: Path) -> None:
        self._base_dir = base_dir
        self._identity = ""
        self._marker_read: tuple[tuple[int, int, int] | None, str] = None, ""
        self._synced: dict[Path, None] = {}
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="blobs")

    async def _run(self, call: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: call(*args, **kwargs))

    async def _opened(self, call: Callable[[], _T], close: Callable[[_T], None]) -> _T:
        """Return what `call` opens; it is closed again where the caller was cancelled meanwhile."""
        opening = asyncio.get_running_loop().run_in_executor(self._threads, call)
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(partial(_close_late, close))
            raise

    async def prepare(self, marker: str | None = None) -> str:
        """Make the folder, readable by this user alone, and return its marker.

        A folder that should have the given `marker` and has none or another is left alone. Raises
        `StorageError`, then with the cause `not_mounted`.
        """
        with _faults():
            if marker is None:
                await self._run(self._prepare)
            else:
                await self._run(self._expect, marker)
        return self._identity

    async def is_marked(self) -> bool:
        """Say whether the folder is there and was prepared before. Raises `StorageError`."""
        with _faults():
            return bool(await self._run(self._marker))

    async def put(self, key: str, body: bytes) -> None:
        """Write, name and sync one blob. Raises `StorageError`; see the port."""
        with _faults():
            await self._run(self._put, key, body)

    async def put_stream(
        self, key_prefix: str, body: AsyncIterator[bytes], *, max_bytes: int
    ) -> BlobFacts:
        """Store a body of unknown length under `{key_prefix}-{sha256[:32]}.bin`."""
        temporary = temporary_name()
        digest = hashlib.sha256()
        size_bytes = 0
        with _faults():
            folder = await self._opened(
                partial(self._folder, self._path(key_prefix).parent), os.close
            )
            try:
                async with aiofiles.open(
                    temporary,
                    "xb",
                    executor=self._threads,
                    opener=partial(private, folder=folder),
                ) as file:
                    async for piece in body:
                        size_bytes += len(piece)
                        if size_bytes > max_bytes:
                            message = f"the body is larger than {max_bytes} bytes"
                            raise TooLarge(message)
                        await self._run(digest.update, piece)
                        await file.write(piece)
                    await file.flush()
                    await self._run(os.fdatasync, file.fileno())
                key = f"{key_prefix}-{digest.hexdigest()[:32]}.bin"
                await self._run(name_file, temporary, self._path(key).name, folder)
            finally:
                await self._run(leave_folder, temporary, folder)
        return BlobFacts(key, digest.hexdigest(), size_bytes)

    async def open(self, key: str) -> BinaryIO:
        """Open a blob as a real file for reading; `NotFound` when it is gone for good."""
        with _faults():
            try:
                return await self._opened(partial(_read, self._path(key)), _close)
            except FileNotFoundError:
                # A share that is not mounted must not make every chunk look lost.
                await self._run(self._check_mounted)
                message = "the audio is not stored any more"
                raise NotFound(message) from None

    async def delete(self, keys: Sequence[str], *, older_than_s: float = 0.0) -> int:
        """Delete those that exist and are old enough, and folders left empty; return how many."""
        with _faults():
            return await self._run(self._delete, keys, older_than_s)

    async def delete_under(self, folder: str, *, limit: int) -> int:
        """Delete up to `limit` files below a folder, and the folders left empty."""
        with _faults():
            return await self._run(self._delete_under, self._path(folder), limit)

    async def scan(self) -> AsyncIterator[tuple[str, float]]:
        """Yield every stored key, temporary files included, with its age in seconds."""
        with _faults():
            meetings = await self._run(self._folders, self._base_dir / "meetings")
            for folder in (*meetings, self._base_dir / _PROBES):
                for found in await self._run(self._files, folder):
                    yield found

    async def check(self) -> None:
        """Write, sync, read back and delete a probe. Raises `StorageError`."""
        body = secrets.token_bytes(32)
        with _faults():
            # One call, which goes on to its end when nobody waits for it any more.
            read = await self._run(self._probe, f"{_PROBES}/{secrets.token_hex(8)}.bin", body)
        if read != body:
            message = "the storage does not give back what was written"
            raise StorageError(message)

    async def aclose(self) -> None:
        """Let the threads go."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _path(self, key: str) -> Path:
        parts = key.split("/")
        if not all(parts) or any(part in {".", ".."} or "\0" in part for part in parts):
            message = "this key cannot name a blob"
            raise StorageError(message)
        return self._base_dir.joinpath(*parts)

    def _expect(self, marker: str) -> None:
        self._identity = marker
        self._check_mounted()

    def _prepare(self) -> None:
        self._base_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        marker = self._base_dir / MARKER
        if not marker.exists():
            temporary = self._base_dir / temporary_name()
            try:
                write_new(temporary, secrets.token_hex(16).encode())
                name_once(temporary, marker)
            finally:
                temporary.unlink(missing_ok=True)
        sync_folder(self._base_dir)
        self._identity = self._marker()

    def _check_mounted(self) -> None:
        with self._mounted():
            pass

    @contextmanager
    def _mounted(self) -> Iterator[int]:
        """Open the folder of the audio where it is the one that it was."""
        with ExitStack() as stack:
            try:
                base = stack.enter_context(open_folder(self._base_dir))
                here = self._marker_in(base)
            except (FileNotFoundError, NotADirectoryError):
                here = ""
            if not here or here != self._identity:
                message = "the folder of the audio is not the one that it was"
                raise StorageError(message, details={"cause": "not_mounted"}, retry_after_s=2)
            yield base

    def _marker_in(self, base: int) -> str:
        """Return the marker below the descriptor `base`; a file that was read is not read again."""
        found = os.stat(MARKER, dir_fd=base)
        file_id = found.st_dev, found.st_ino, found.st_ctime_ns
        read_before, here = self._marker_read
        if file_id != read_before:
            with open(MARKER, encoding="ascii", opener=partial(open_to_read, folder=base)) as file:
                here = file.read().strip()
            self._marker_read = file_id, here
        return here

    def _folder(self, folder: Path) -> int:
        """Open a folder, making what is missing of it; the descriptor is the caller's to close.

        Everything happens below the one descriptor whose marker was read, so that nothing is made
        on a mount point whose share goes away in the middle.
        """
        with self._mounted() as base:
            if folder in self._synced:
                with suppress(FileNotFoundError):
                    return open_below(base, folder.relative_to(self._base_dir))
            return self._make_folder(base, folder)

    def _make_folder(self, base: int, folder: Path) -> int:
        # A folder that somebody else has just made may not be on the disk yet, so each is synced
        # into its parent by us too before the first file in it counts.
        path, here = self._base_dir, os.dup(base)
        for part in folder.relative_to(self._base_dir).parts:
            path /= part
            try:
                with suppress(FileExistsError):
                    os.mkdir(part, 0o700, dir_fd=here)
                    self._synced.pop(path, None)
                if path not in self._synced:
                    os.fsync(here)
                    self._synced[path] = None
                there = open_below(here, part)
            finally:
                os.close(here)
            here = there
        if len(self._synced) > _FOLDERS_REMEMBERED:
            self._synced.clear()
        return here

    def _put(self, key: str, body: bytes) -> None:
        for _ in range(_TIDIED_AWAY_TIMES):
            # Whoever deletes the last file of a folder removes it, also from under us.
            with suppress(FileNotFoundError):
                self._put_once(key, body)
                return
        self._put_once(key, body)

    def _put_once(self, key: str, body: bytes) -> None:
        path = self._path(key)
        folder = self._folder(path.parent)
        try:
            write_whole(path.name, body, folder)
        finally:
            os.close(folder)

    def _probe(self, key: str, body: bytes) -> bytes:
        path = self._path(key)
        try:
            self._put(key, body)
            return path.read_bytes()
        finally:
            # The folder stays: other processes are about to write their probes into it.
            path.unlink(missing_ok=True)

    def _now(self) -> float:
        # The clock of the file system, which on a share is not ours.
        marker = self._base_dir / MARKER
        os.utime(marker)
        return marker.stat().st_mtime

    def _delete(self, keys: Sequence[str], older_than_s: float = 0.0) -> int:
        # What a share that is away holds would be called deleted, and be there again with it.
        self._check_mounted()
        deleted = 0
        now = self._now() if older_than_s else 0.0
        for key in keys:
            path = self._path(key)
            with suppress(FileNotFoundError):
                # Somebody may have sent the same bytes again since they were looked at.
                if older_than_s and now - path.stat().st_mtime < older_than_s:
                    continue
                path.unlink()
                deleted += 1
        for folder in {self._path(key).parent for key in keys}:
            self._tidy(folder)
        return deleted

    def _tidy(self, folder: Path) -> None:
        """Delete a folder and those above it as far as they are empty."""
        while folder != self._base_dir:
            try:
                folder.rmdir()
            except OSError:
                break
            folder = folder.parent

    def _delete_under(self, folder: Path, limit: int) -> int:
        self._check_mounted()
        deleted = 0
        for parent, _, names in os.walk(folder, topdown=False, onerror=_unless_gone):
            for name in names[: limit - deleted]:
                Path(parent, name).unlink(missing_ok=True)
                deleted += 1
            self._tidy(Path(parent))
        # What was deleted must not come back with the power.
        standing = next(each for each in (folder, *folder.parents) if each.is_dir())
        sync_folder(standing)
        return deleted

    def _marker(self) -> str:
        try:
            return (self._base_dir / MARKER).read_text(encoding="ascii").strip()
        except (FileNotFoundError, NotADirectoryError):
            return ""

    @staticmethod
    def _folders(folder: Path) -> list[Path]:
        return [each for each in folder.iterdir() if each.is_dir()] if folder.is_dir() else []

    def _files(self, folder: Path) -> list[tuple[str, float]]:
        now = self._now()
        found = []
        for path in folder.rglob("*"):
            with suppress(FileNotFoundError):
                if path.is_file():
                    key = path.relative_to(self._base_dir).as_posix()
                    found.append((key, now - path.stat().st_mtime))
        return found


def _unless_gone(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error
