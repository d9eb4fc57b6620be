"""A PostgreSQL and a Valkey to be stopped, killed and frozen, and processes that use them."""

from __future__ import annotations

import contextlib
import os
import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from interview_agent.adapters.embedded import EmbeddedStack
from running_agents import Agents

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def tree(pid: int) -> list[int]:
    """Return a process and all that descend from it, parents first."""
    found = [pid]
    for each in found:
        with contextlib.suppress(OSError):
            for thread in Path(f"/proc/{each}/task").iterdir():
                found.extend(int(child) for child in (thread / "children").read_text().split())
    return found


def children_named(pid: int, name: str) -> list[int]:
    """Return the descendants of a process that run a program of that name, parents first."""
    found = []
    for each in tree(pid)[1:]:
        with contextlib.suppress(OSError):
            if Path(f"/proc/{each}/comm").read_text().strip() == name:
                found.append(each)
    return found


@contextlib.contextmanager
def frozen(pids: Iterable[int]) -> Iterator[None]:
    """Stop processes without ending them, and let them go on afterwards."""
    held = list(pids)
    for pid in held:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in reversed(held):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


class OwnServer:
    """One server that can be started and stopped again and again under one address."""

    def __init__(self, folder: Path, name: str) -> None:
        self._name = name
        self._stack = EmbeddedStack(folder, postgres=name == "postgres", valkey=name == "valkey")
        self.address = ""

    async def start(self) -> None:
        addresses = await self._stack.start()
        inside = addresses.postgres_dsn or addresses.redis_url or ""
        self.address = re.sub(r"/proc/self/fd/\d+", str(addresses.socket_dir), inside)

    async def stop(self) -> None:
        await self._stack.stop()

    @property
    def pid(self) -> int:
        """The server's own process."""
        return self._stack._children[self._name].pid


class OwnServers:
    """Both servers, and processes of the service that are told their addresses."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.postgres = OwnServer(folder / "pg", "postgres")
        self.valkey = OwnServer(folder / "vk", "valkey")
        self.agents = Agents(folder, {})

    @property
    def blob_dir(self) -> Path:
        """The folder of the audio that processes made apart share."""
        return self.agents.blob_dir

    async def start(self) -> None:
        await self.postgres.start()
        await self.valkey.start()
        self.agents = Agents(
            self._folder,
            {"POSTGRES_DSN": self.postgres.address, "REDIS_URL": self.valkey.address},
        )

    async def close(self) -> None:
        await self.agents.close()
        await self.postgres.stop()
        await self.valkey.stop()
