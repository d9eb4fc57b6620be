"""Files below the descriptor of their folder: made, synced and named, wherever the folder moves."""

from __future__ import annotations

import errno
import os
import secrets
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TEMPORARY_PREFIX = ".tmp-"
"""Begins the names of files that have no name of their own yet."""

_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.ENOSYS}
_NOT_NAMELESS = _NO_LINKS | {errno.EISDIR, errno.ENOENT}


@contextmanager
def open_folder(folder: Path) -> Iterator[int]:
    """Lend the descriptor of a folder."""
    descriptor = os.open(folder, _FOLDER_FLAGS)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    with open_folder(folder) as descriptor:
        os.fsync(descriptor)


def name_once(temporary: Path, final: Path) -> None:
    """Give a file its name unless another process was first."""
    try:
        final.hardlink_to(temporary)
    except FileExistsError:
        return
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        temporary.rename(final)


def private(path: str, flags: int, folder: int | None = None) -> int:
    """Open a file that this user alone may read, following no link; an opener for `open`."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder)


def open_to_read(path: str, flags: int, folder: int) -> int:
    """Open a file below the descriptor `folder`; an opener for `open`."""
    return os.open(path, flags | os.O_CLOEXEC, dir_fd=folder)


def open_below(folder: int, path: str | Path) -> int:
    """Open a folder below another one; the descriptor is the caller's to close."""
    return os.open(path, _FOLDER_FLAGS, dir_fd=folder)


def temporary_name() -> str:
    """Make a name for a file that is still written."""
    return f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}"


def write_new(path: str | Path, body: bytes, folder: int | None = None) -> None:
    """Write a new file and sync it; `folder` is the descriptor that a relative path is below."""
    with open(path, "xb", opener=partial(private, folder=folder)) as file:
        file.write(body)
        file.flush()
        os.fdatasync(file.fileno())


def write_whole(name: str, body: bytes, folder: int) -> None:
    """Write a file below the descriptor `folder` that is whole once it has its name, and durable.

    Raises `OSError`. A file whose sync failed keeps its name: it cannot be told from what another
    writer may have put there since.
    """
    if _write_nameless(name, body, folder):
        return
    temporary = temporary_name()
    try:
        write_new(temporary, body, folder)
        name_file(temporary, name, folder)
    finally:
        _discard(temporary, folder)


def _write_nameless(name: str, body: bytes, folder: int) -> bool:
    """Write a new file that has no name before it is whole; its name is synced with it.

    That takes half the time of a file that is synced and then renamed, and a crash leaves nothing.
    Returns False where the name is taken, or the file system has no such files.
    """
    try:
        descriptor = os.open(".", os.O_WRONLY | os.O_TMPFILE | os.O_CLOEXEC, 0o600, dir_fd=folder)
        with os.fdopen(descriptor, "wb") as file:
            file.write(body)
            file.flush()
            os.link(f"/proc/self/fd/{descriptor}", name, dst_dir_fd=folder)
            os.fsync(descriptor)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno in _NOT_NAMELESS:
            return False
        raise
    os.fsync(folder)
    return True


def name_file(temporary: str, name: str, folder: int) -> None:
    """Give a file below the descriptor `folder` its name, durably."""
    os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    os.fsync(folder)


def leave_folder(temporary: str, folder: int) -> None:
    """Delete what has no name yet, and close the folder."""
    try:
        _discard(temporary, folder)
    finally:
        os.close(folder)


def _discard(temporary: str, folder: int) -> None:
    with suppress(FileNotFoundError):
        os.unlink(temporary, dir_fd=folder)
