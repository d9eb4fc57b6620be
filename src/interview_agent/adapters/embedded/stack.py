"""The two servers as one thing that starts, is watched and stops with the service."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from interview_agent.adapters.embedded.binaries import (
    ServerBinaries,
    find_binaries,
    reachable_binaries,
)
from interview_agent.adapters.embedded.folder import StateFolder
from interview_agent.adapters.embedded.identity import Identity, choose_identity
from interview_agent.adapters.embedded.postgres import CLUSTER, PostgresServer
from interview_agent.adapters.embedded.valkey import ValkeyServer
from interview_agent.domain.errors import StartupError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from signal import Signals

    from interview_agent.adapters.embedded.spawn import Child

SOCKETS = "run"
READY_PATIENCE_S = 60.0
DEATHS_IN_A_ROW = 5
STEADY_AFTER_S = 60.0


@dataclass(frozen=True)
class EmbeddedAddresses:
    """Where the servers are, None for one that is not embedded.

    The first two hold the password and are good only inside the process that started them;
    `socket_dir` is for people with psql, as root or as the user the servers run as.
    """

    postgres_dsn: str | None = field(repr=False)
    redis_url: str | None = field(repr=False)
    socket_dir: Path


class _Server(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def stop_steps(self) -> Sequence[tuple[Signals, float]]: ...

    async def launch(self) -> Child: ...

    async def answers(self) -> bool: ...


class EmbeddedStack:
    """PostgreSQL and Valkey below a folder, as children that die with this process.

    `postgres` and `valkey` say which of the two to run. `on_child_exit` is told the name and exit
    code of a child that ended. One that does not answer within `ready_patience_s` of its launch is
    ended, and one that dies `steady_after_s` after it answered is not said to die again.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        postgres: bool = True,
        valkey: bool = True,
        on_child_exit: Callable[[str, int], None] | None = None,
        ready_patience_s: float = READY_PATIENCE_S,
        steady_after_s: float = STEADY_AFTER_S,
    ) -> None:
        self._data_dir = data_dir
        self._wanted = {"postgres": postgres, "valkey": valkey}
        self._on_child_exit = on_child_exit
        self._ready_patience_s = ready_patience_s
        self._steady_after_s = steady_after_s
        self._folder: StateFolder | None = None
        self._binaries: ServerBinaries | None = None
        self._servers: list[_Server] = []
        self._children: dict[str, Child] = {}
        self._answered_s: dict[str, float] = {}
        self._stopping = False
        self._turn = asyncio.Lock()

    async def start(self) -> EmbeddedAddresses:
        """Start both and wait until they answer; raises StartupError that says what to do.

        Stops what it started when it fails or is cancelled.
        """
        if self._folder is not None:
            raise StartupError("the embedded servers are started already")
        self._stopping = False
        try:
            addresses = await self._open()
            for server in self._servers:
                await self._launch(server)
        except OSError as error:
            await self.stop()
            raise StartupError(f"DATA_DIR {self._data_dir} cannot be used: {error}") from error
        except BaseException:
            await self.stop()
            raise
        return addresses

    async def stop(self) -> None:
        """End both, 21 s at most, and let the folder go; addresses are void afterwards."""
        self._stopping = True
        async with self._turn:
            async with asyncio.TaskGroup() as group:
                for server in self._servers:
                    child = self._children.get(server.name)
                    if child is not None and child.alive:
                        group.create_task(child.end(server.stop_steps))
            self._close()

    async def watch(self) -> None:
        """Restart a child that dies, later each time; returns once stopped.

        Raises StartupError when one has died or failed to start 5 times in a row.
        """
        try:
            async with asyncio.TaskGroup() as group:
                for server in self._servers:
                    group.create_task(self._keep(server))
        except* StartupError as failed:
            fault = failed.exceptions[0]
        else:
            return
        raise fault

    def alive(self) -> dict[str, bool]:
        """Which children run, by name."""
        return {
            name: name in self._children and self._children[name].alive
            for name, wanted in self._wanted.items()
            if wanted
        }

    async def _open(self) -> EmbeddedAddresses:
        found = await asyncio.to_thread(find_binaries)
        self._folder = folder = await asyncio.to_thread(StateFolder.open, self._data_dir)
        cluster_owner = folder.owner_of(CLUSTER)
        identity = choose_identity(
            euid=os.geteuid(),
            egid=os.getegid(),
            cluster_owner=cluster_owner,
            folder_owner=os.fstat(folder.fd).st_uid,
        )
        self._binaries = await asyncio.to_thread(reachable_binaries, found, identity)
        return self._address(self._binaries, folder, identity, cluster_owner is None)

    def _address(
        self, binaries: ServerBinaries, folder: StateFolder, identity: Identity, fresh: bool
    ) -> EmbeddedAddresses:
        password = folder.secret(may_create=fresh)
        sockets_fd = folder.folder(SOCKETS, identity)
        postgres = PostgresServer(
            binaries, folder, identity, sockets_fd=sockets_fd, password=password
        )
        valkey = ValkeyServer(binaries, folder, identity, sockets_fd=sockets_fd, password=password)
        servers: list[_Server] = [postgres, valkey]
        self._servers = [server for server in servers if self._wanted[server.name]]
        return EmbeddedAddresses(
            postgres.dsn if self._wanted["postgres"] else None,
            valkey.url if self._wanted["valkey"] else None,
            folder.path / SOCKETS,
        )

    async def _launch(self, server: _Server) -> None:
        """Start one server and wait until it answers; ends it again when it does not."""
        async with self._turn:
            if self._stopping:
                return
            self._children.pop(server.name, None)
            self._answered_s.pop(server.name, None)
            child = await server.launch()
            self._children[server.name] = child
            try:
                await self._until_ready(server, child)
                self._answered_s[server.name] = time.monotonic()
            except BaseException:
                await child.end(server.stop_steps)
                raise

    async def _until_ready(self, server: _Server, child: Child) -> None:
        deadline_s = time.monotonic() + self._ready_patience_s
        while not self._stopping:
            if not child.alive:
                code = await child.wait()
                raise StartupError(
                    f"{server.name} ended with code {code} at its start, see {child.log_path}:\n"
                    f"{child.log_tail()}"
                )
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(deadline_s - time.monotonic()):
                    if await server.answers():
                        return
            if time.monotonic() > deadline_s:
                raise StartupError(
                    f"{server.name} did not answer within {self._ready_patience_s:.0f} s, see "
                    f"{child.log_path}:\n{child.log_tail()}"
                )
            await asyncio.sleep(0.03)

    async def _keep(self, server: _Server) -> None:
        deaths, fault = 0, ""
        while not self._ending():
            child = self._children.get(server.name)
            if child is None:
                deaths += 1
            else:
                code = await child.wait()
                if self._ending():
                    return
                deaths = 1 if self._was_steady(server) else deaths + 1
                if self._on_child_exit is not None:
                    self._on_child_exit(server.name, code)
                fault = f"with code {code}; see {child.log_path}:\n{child.log_tail()}"
            if deaths >= DEATHS_IN_A_ROW:
                raise StartupError(f"{server.name} died {deaths} times in a row, lastly {fault}")
            await asyncio.sleep(pause_s(deaths))
            # The next turn counts it as a death.
            try:
                await self._launch(server)
            except (StartupError, OSError) as error:
                fault = f"before it ran: {error}"

    def _was_steady(self, server: _Server) -> bool:
        # A server that never answered is no better for having hung long.
        answered_s = self._answered_s.get(server.name)
        return answered_s is not None and time.monotonic() - answered_s > self._steady_after_s

    def _ending(self) -> bool:
        return self._stopping

    def _close(self) -> None:
        self._servers = []
        self._children, self._answered_s = {}, {}
        if self._folder is not None:
            self._folder.close()
            self._folder = None
        if self._binaries is not None and self._binaries.lock_fd is not None:
            os.close(self._binaries.lock_fd)
        self._binaries = None


def pause_s(deaths: int) -> float:
    """Seconds to wait before start number `deaths` after a death: 0.1 doubling up to 5."""
    return min(5.0, 0.1 * 2.0 ** (deaths - 1))
