"""The folder that holds the servers' state: one owner at a time, private, reached by descriptors.

Everything below is opened relative to the folder and never through a symbolic link, since root may
work here in a folder that belongs to somebody else.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

from interview_agent.domain.errors import StartupError

if TYPE_CHECKING:
    from interview_agent.adapters.embedded.identity import Identity

LOCK_PATIENCE_S = 2.0
LOG_LIMIT_BYTES = 5 * 1024 * 1024
SECRET = "embedded.secret"  # noqa: S105 - the name of a file
OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class StateFolder:
    """An open, locked folder. Blocking calls of milliseconds, plus `LOCK_PATIENCE_S` to lock."""

    def __init__(self, path: Path, fd: int, lock_fd: int) -> None:
        self.path = path
        self.fd = fd
        self._lock_fd = lock_fd
        self._folders: list[int] = []

    @classmethod
    def open(cls, path: Path) -> Self:
        """Make the folder with mode 0700 if absent and lock it; raises StartupError."""
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            real = path.resolve(strict=True)
            fd = os.open(real, OPEN_FOLDER)
            try:
                return cls(real, fd, _lock(real, fd))
            except BaseException:
                os.close(fd)
                raise
        except OSError as error:
            raise StartupError(
                f"DATA_DIR {path} cannot be used: {error.strerror} ({error.filename})"
            ) from error

    def close(self) -> None:
        """Close every descriptor and let the lock go."""
        for fd in (*self._folders, self._lock_fd, self.fd):
            os.close(fd)
        self._folders = []

    def owner_of(self, name: str) -> int | None:
        """The user id that owns an entry, or None where there is no such entry."""
        try:
            return os.stat(name, dir_fd=self.fd, follow_symlinks=False).st_uid
        except FileNotFoundError:
            return None

    def folder(self, name: str, owner: Identity | None = None) -> int:
        """A descriptor of a private subfolder, made if absent; it stays open until `close`.

        `owner` gets it where that is another user than ourselves. Raises StartupError where it
        is not a folder.
        """
        with suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=self.fd)
        try:
            fd = os.open(name, OPEN_FOLDER, dir_fd=self.fd)
        except OSError as error:
            raise StartupError(f"{self.path / name} is not usable: {error.strerror}") from error
        self._folders.append(fd)
        if owner is not None and owner.drops and os.fstat(fd).st_uid != owner.uid:
            os.fchown(fd, owner.uid, owner.gid)
        return fd

    def release(self, fd: int) -> None:
        """Close a descriptor that `folder` gave before the rest."""
        self._folders.remove(fd)
        os.close(fd)

    def secret(self, *, may_create: bool) -> str:
        """The servers' password, 64 hexadecimal digits, kept with mode 0600.

        Raises StartupError when it is gone while a cluster still asks for it.
        """
        with suppress(FileNotFoundError):
            fd = os.open(SECRET, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.fd)
            with os.fdopen(fd, encoding="ascii") as file:
                return file.read().strip()
        if not may_create:
            raise StartupError(
                f"{self.path / SECRET} holds the password of the embedded database and is missing; "
                "restore it, or set another DATA_DIR"
            )
        password = secrets.token_hex(32)
        replace_file(self.fd, SECRET, password)
        return password

    def open_log(self, name: str) -> int:
        """A descriptor to append to `log/<name>.log`, emptied first when over 5 MiB."""
        logs = self.folder("log")
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
            fd = os.open(f"{name}.log", flags, 0o600, dir_fd=logs)
        finally:
            self.release(logs)
        if os.fstat(fd).st_size > LOG_LIMIT_BYTES:
            os.ftruncate(fd, 0)
        return fd


def replace_file(folder_fd: int, name: str, text: str, owner: Identity | None = None) -> None:
    """Write a file with mode 0600 so that it is whole or absent, and durable."""
    temporary = f"{name}.tmp"
    with suppress(FileNotFoundError):
        os.unlink(temporary, dir_fd=folder_fd)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(temporary, flags, 0o600, dir_fd=folder_fd)
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        if owner is not None and owner.drops:
            os.fchown(fd, owner.uid, owner.gid)
        file.write(text)
        file.flush()
        os.fsync(fd)
    os.rename(temporary, name, src_dir_fd=folder_fd, dst_dir_fd=folder_fd)
    os.fsync(folder_fd)


def _lock(path: Path, folder_fd: int) -> int:
    """The descriptor of the locked `lock` file, which names our process.

    It is closed on exec, so no server can hold the lock for us; waits a moment for one who is
    just dying.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open("lock", flags, 0o600, dir_fd=folder_fd)
    deadline = time.monotonic() + LOCK_PATIENCE_S
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(fd, 32, 0).decode("ascii", "replace").strip()
            if not _alive(holder) and time.monotonic() < deadline:
                time.sleep(0.05)
                continue
            os.close(fd)
            raise StartupError(
                f"DATA_DIR {path} is already in use by process {holder or 'unknown'}; "
                "stop it or set another DATA_DIR"
            ) from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        return fd


def _alive(pid: str) -> bool:
    """Whether a process runs; the dead whose parent has not yet looked do not."""
    try:
        status = Path(f"/proc/{int(pid)}/stat").read_text(encoding="ascii", errors="replace")
    except (OSError, ValueError):
        return False
    return status.rpartition(")")[2].split()[0] not in {"Z", "X"}
