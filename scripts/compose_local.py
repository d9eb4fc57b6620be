"""Starts the services of docker-compose.yml as processes, where no container engine is at hand.

Each runs the very command of its service, with the entry point of the Dockerfile and the
environment that compose would give it from `--env-file` and the shell, in the order that
`depends_on` asks for and only when what it waits for is healthy. PostgreSQL and Valkey are the
embedded ones, in the role of outer servers. What differs: the addresses of the two, folders instead
of volumes, loopback instead of all addresses, free ports unless `--port` is given; and there are no
users, limits and file systems of containers.

Stays up until Ctrl-C, or with `--check` sends a meeting through it and stops.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import signal
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dotenv import dotenv_values

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from compose_file import ROOT, interpolate, read_compose_file, start_order
from e2e_local import SmokeFailed, ask_health, smoke
from fault_servers import OwnServer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SERVERS = {"postgres": "postgres", "redis": "valkey"}
"""Services that are not ours, and what stands in for each."""

READY_TIMEOUT_S = 120.0


class StartFailed(Exception):
    """A service did not come up or did not end well; the text says which and why."""


def entry_point() -> list[str]:
    """Return the command line that the Dockerfile puts before each command."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    match = re.search(r"(?m)^ENTRYPOINT (\[.*\])$", text)
    assert match, "the Dockerfile has no ENTRYPOINT"  # noqa: S101 - a fact about our own file
    python, *rest = json.loads(match[1])
    return [sys.executable if python == "python" else python, *rest]


class ServiceProcess:
    """One service of ours as a process."""

    def __init__(self, name: str, service: Mapping[str, Any], folder: Path) -> None:
        self.name = name
        self._command = [*entry_point(), *service["command"]]
        self._grace_s = float(service["stop_grace_period"].removesuffix("s"))
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None

    async def start(self, environment: Mapping[str, str]) -> str:
        """Start it and return its address once it is healthy. Raises `StartFailed`."""
        inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        with self._log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                cwd=self._folder,
                env={**inherited, **environment},
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )
        try:
            async with asyncio.timeout(READY_TIMEOUT_S):
                address = await self._announced(self._process)
                await asyncio.to_thread(ask_health, address)
        except (TimeoutError, OSError) as error:
            raise StartFailed(self._said("did not become healthy")) from error
        return address

    async def _announced(self, process: asyncio.subprocess.Process) -> str:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        async for line in process.stdout:
            if b" is ready at " in line:
                return line.decode().split()[-1]
        raise StartFailed(self._said(f"ended with code {await process.wait()}"))

    async def stop(self) -> None:
        """End it as compose does. Raises `StartFailed` unless it ends well and in time."""
        if self._process is None or self._process.returncode is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(self._grace_s):
                code = await self._process.wait()
        except TimeoutError:
            self._process.kill()
            raise StartFailed(self._said(f"was still there after {self._grace_s:g} s")) from None
        if code != 0:
            raise StartFailed(self._said(f"ended with code {code}"))

    @property
    def _log(self) -> Path:
        return self._folder / f"{self.name}.log"

    def _said(self, what: str) -> str:
        tail = "\n".join(self._log.read_text(errors="replace").splitlines()[-15:])
        return f"{self.name} {what}:\n{tail}"


class LocalCompose:
    """The services of the file, to be started and stopped as one."""

    def __init__(self, variables: Mapping[str, str], folder: Path, port: int) -> None:
        self._services: dict[str, Any] = {
            name: each
            for name, each in read_compose_file()["services"].items()
            if "profiles" not in each
        }
        self._variables = variables
        self._folder = folder
        self._port = port
        self._servers: dict[str, str] = {}

    async def start(self, stack: AsyncExitStack) -> str:
        """Start everything in order and return the address of the API; `stack` stops it."""
        addresses = {}
        for name in start_order(self._services):
            started = time.monotonic()
            if name in SERVERS:
                server = OwnServer(self._folder / name, SERVERS[name])
                stack.push_async_callback(server.stop)
                await server.start()
                self._servers[name] = server.address
            else:
                process = ServiceProcess(name, self._services[name], self._folder)
                stack.push_async_callback(process.stop)
                addresses[name] = await process.start(self.environment(name))
            print(f"{name}: healthy after {time.monotonic() - started:.1f} s", flush=True)
        return addresses["api"]

    def environment(self, name: str) -> dict[str, str]:
        """Return what compose would give the service, with what this machine has instead."""
        given = {
            key: interpolate(value, self._variables)
            for key, value in self._services[name]["environment"].items()
        }
        here = {
            "API_HOST": "127.0.0.1",
            "API_PORT": str(self._port),
            "METRICS_PORT": "0",
            "DATA_DIR": str(self._folder / f"{name}-data"),
            "STORAGE_SHARED_FS_DIR": str(self._folder / "audio"),
            "POSTGRES_DSN": self._servers["postgres"],
            "REDIS_URL": self._servers["redis"],
        }
        return given | here


async def run(variables: Mapping[str, str], folder: Path, *, port: int, check: bool) -> None:
    """Start everything, then check it or wait to be stopped."""
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    async with AsyncExitStack() as stack:
        address = await LocalCompose(variables, folder, port).start(stack)
        print(f"the API is at {address}", flush=True)
        if check:
            key = variables.get("API_KEYS", "").split(",")[0].rpartition(":")[2]
            await asyncio.to_thread(smoke, address, key)
        else:
            await stopped.wait()
    print("all services ended well")


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--env-file", type=Path, default=ROOT / ".env")
    parser.add_argument("--port", type=int, default=0, help="port of the API; default: a free one")
    parser.add_argument("--check", action="store_true", help="send one meeting through and stop")
    options = parser.parse_args(arguments)
    given = dotenv_values(options.env_file) | os.environ
    variables = {name: value for name, value in given.items() if value}
    with tempfile.TemporaryDirectory(prefix="ia-compose-") as folder:
        try:
            asyncio.run(run(variables, Path(folder), port=options.port, check=options.check))
        except (StartFailed, SmokeFailed) as error:
            print(f"compose-local: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
