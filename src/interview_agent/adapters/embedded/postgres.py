"""The embedded PostgreSQL: one cluster, made once, the truth of a single-machine installation."""

from __future__ import annotations

import asyncio
import ctypes
import os
import shutil
import signal
import time
from typing import TYPE_CHECKING

import asyncpg

from interview_agent.adapters.embedded import leftovers
from interview_agent.adapters.embedded.folder import StateFolder, replace_file
from interview_agent.adapters.embedded.spawn import Child, Launch, run_to_end, spawn
from interview_agent.domain.errors import StartupError

if TYPE_CHECKING:
    from interview_agent.adapters.embedded.binaries import ServerBinaries
    from interview_agent.adapters.embedded.identity import Identity

CLUSTER = "postgres"
HALF_MADE = "postgres.init"
ROLE = "interview_agent"
DATABASE = "interview_agent"
PASSWORD_FILE = "initdb.password"  # noqa: S105 - the name of a file
INITDB_PATIENCE_S = 180.0
ORPHANS_PATIENCE_S = 20.0
STALE_SOCKETS = (".s.PGSQL.5432", ".s.PGSQL.5432.lock")

# Fit for two cores and a few hundred connections' worth of small transactions; durability stays
# at its defaults.
SETTINGS = {
    "listen_addresses": "",
    "port": "5432",
    "unix_socket_permissions": "0700",
    "shared_buffers": "64MB",
    "effective_cache_size": "512MB",
    "max_connections": "100",
    "max_wal_size": "512MB",
    "huge_pages": "off",
    "io_method": "sync",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "logging_collector": "off",
    "log_destination": "stderr",
    # The detail of an error quotes the row, with names and what people said.
    "log_error_verbosity": "terse",
}


class PostgresServer:
    """PostgreSQL on a unix socket in the folder of sockets, its cluster beside it."""

    name = "postgres"
    # Fast shutdown; then immediate, which recovers from the log at the next start.
    stop_steps = ((signal.SIGINT, 10.0), (signal.SIGQUIT, 6.0), (signal.SIGKILL, 5.0))

    def __init__(
        self,
        binaries: ServerBinaries,
        folder: StateFolder,
        identity: Identity,
        *,
        sockets_fd: int,
        password: str,
    ) -> None:
        self._binaries = binaries
        self._folder = folder
        self._identity = identity
        self._sockets_fd = sockets_fd
        self._password = password
        self._cluster_fd: int | None = None

    @property
    def dsn(self) -> str:
        """Its address, good inside this process only: it goes through our own descriptor."""
        return self._dsn(DATABASE)

    async def launch(self) -> Child:
        """Start the server, making its cluster first if there is none; raises StartupError."""
        if self._cluster_fd is None:
            if self._folder.owner_of(CLUSTER) is None:
                await self._make_cluster()
            self._cluster_fd = self._folder.folder(CLUSTER)
        await self._outlive_orphans(self._cluster_fd)
        leftovers.remove(self._cluster_fd, ["postmaster.pid"])
        leftovers.remove(self._sockets_fd, STALE_SOCKETS)
        settings = SETTINGS | {"unix_socket_directories": f"/proc/self/fd/{self._sockets_fd}"}
        launch = Launch(
            self.name,
            [
                str(self._binaries.postgres),
                *("-D", f"/proc/self/fd/{self._cluster_fd}"),
                *(part for key, value in settings.items() for part in ("-c", f"{key}={value}")),
            ],
            self._cluster_fd,
            keep_fds=[self._sockets_fd],
            # Immediate shutdown: bounded, whatever is to be written, and safe by its log.
            death_signal=signal.SIGQUIT,
        )
        return await spawn(launch, self._folder, self._identity)

    async def answers(self) -> bool:
        """Whether the service's database answered; makes it in a new cluster."""
        try:
            connection = await asyncpg.connect(self._dsn(DATABASE), timeout=5)
        except asyncpg.InvalidCatalogNameError:
            return await self._make_database()
        except (asyncpg.OperatorInterventionError, asyncpg.PostgresConnectionError, OSError):
            return False
        except asyncpg.PostgresError as error:
            raise StartupError(f"the embedded database refuses us: {error}") from error
        await connection.close(timeout=5)
        return True

    def _dsn(self, database: str) -> str:
        # Port and sslmode are named so that PGPORT and PGSSLMODE of our caller have no say.
        where = f"host=/proc/self/fd/{self._sockets_fd}&port=5432&sslmode=disable"
        return f"postgresql://{ROLE}:{self._password}@/{database}?{where}"

    async def _make_database(self) -> bool:
        connection = await asyncpg.connect(self._dsn("postgres"), timeout=5)
        try:
            await connection.execute(f"create database {DATABASE}")
        finally:
            await connection.close(timeout=5)
        return True

    async def _make_cluster(self) -> None:
        """Initialise beside the final place and rename, so that a kill leaves nothing half-made."""
        if self._folder.owner_of(HALF_MADE) is not None:
            await self._remove_half_made()
        fd = self._folder.folder(HALF_MADE, self._identity)
        replace_file(self._sockets_fd, PASSWORD_FILE, self._password, self._identity)
        try:
            await self._initdb(fd, "--no-sync", *self._new_cluster_options())
            await self._initdb(fd, "--sync-only")
        finally:
            leftovers.remove(self._sockets_fd, [PASSWORD_FILE])
            self._folder.release(fd)
        here = self._folder.fd
        os.rename(HALF_MADE, CLUSTER, src_dir_fd=here, dst_dir_fd=here)
        await asyncio.to_thread(os.fsync, here)

    def _new_cluster_options(self) -> list[str]:
        # The builtin locale rules collation and case; the ctype still decides which characters
        # the text search parser takes for letters, and "C" would count quotation marks among them.
        return [
            f"--username={ROLE}",
            f"--pwfile=/proc/self/fd/{self._sockets_fd}/{PASSWORD_FILE}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--lc-collate=C",
            f"--lc-ctype={best_ctype()}",
            "--data-checksums",
            "--no-instructions",
        ]

    async def _initdb(self, fd: int, *options: str) -> None:
        argv = [str(self._binaries.initdb), "-D", f"/proc/self/fd/{fd}", *options]
        launch = Launch("initdb", argv, fd, keep_fds=[self._sockets_fd])
        await run_to_end(launch, self._folder, self._identity, INITDB_PATIENCE_S)

    async def _remove_half_made(self) -> None:
        fd = self._folder.folder(HALF_MADE)
        try:
            await self._outlive_orphans(fd)
        finally:
            self._folder.release(fd)
        await asyncio.to_thread(shutil.rmtree, HALF_MADE, dir_fd=self._folder.fd)

    async def _outlive_orphans(self, fd: int) -> None:
        """Wait until no server of a killed run is left in the cluster; raises StartupError.

        We hold the folder's lock, so whatever still runs there has lost its parent and is ending.
        """
        deadline_s = time.monotonic() + ORPHANS_PATIENCE_S
        while orphans := await asyncio.to_thread(leftovers.processes_in, fd, "postgres"):
            if time.monotonic() > deadline_s:
                raise StartupError(
                    f"another PostgreSQL (process {min(orphans)}) runs on "
                    f"{self._folder.path / CLUSTER}; stop it or set another DATA_DIR"
                )
            await asyncio.sleep(0.05)


def best_ctype() -> str:
    """`C.UTF-8` where the C library has it, else `C`; asks without changing our own locale."""
    libc = ctypes.CDLL(None)
    libc.newlocale.restype = ctypes.c_void_p
    libc.newlocale.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p]
    ctype_mask = 1
    locale = libc.newlocale(ctype_mask, b"C.UTF-8", None)
    if locale is None:
        return "C"
    libc.freelocale.argtypes = [ctypes.c_void_p]
    libc.freelocale(locale)
    return "C.UTF-8"
