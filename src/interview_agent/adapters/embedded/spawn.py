"""Starts a server as a child that cannot outlive us, and ends it again."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from interview_agent.domain.errors import StartupError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from interview_agent.adapters.embedded.folder import StateFolder
    from interview_agent.adapters.embedded.identity import Identity

LAUNCHER = Path(__file__).with_name("child.py")
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "TZ": "UTC", "LC_ALL": "C"}
TAIL_BYTES = 2000


@dataclass(frozen=True)
class Launch:
    """What to run: its arguments, its folder, the descriptors it keeps, the text on its stdin.

    `death_signal` is what it gets from the kernel when we die, however we die.
    """

    name: str
    argv: Sequence[str]
    folder_fd: int
    keep_fds: Sequence[int] = ()
    stdin: bytes | None = None
    death_signal: signal.Signals = signal.SIGKILL


class Child:
    """A running child and its log."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log_path: Path) -> None:
        self.name = name
        self.log_path = log_path
        self._process = process

    @property
    def alive(self) -> bool:
        """Whether it has not been seen to end."""
        return self._process.returncode is None

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    async def wait(self) -> int:
        """Its exit code, negative for a signal, once it has ended."""
        return await self._process.wait()

    async def end(self, steps: Sequence[tuple[signal.Signals, float]]) -> None:
        """Send each signal and give it its seconds, until the child has ended."""
        for number, patience_s in steps:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience_s):
                    await self._process.wait()
                return

    def log_tail(self) -> str:
        """The last lines that it wrote, for an error message."""
        try:
            with self.log_path.open("rb") as file:
                file.seek(max(0, self.log_path.stat().st_size - TAIL_BYTES))
                return file.read().decode("utf-8", "replace").strip()
        except OSError:
            return ""


async def spawn(launch: Launch, folder: StateFolder, identity: Identity) -> Child:
    """Start a child in a session of its own, so that Ctrl-C on a terminal reaches only us.

    Call from a thread that lives as long as the service, which the event loop's does: the kernel
    sends the death signal when the thread that forked ends. Raises StartupError.
    """
    plan = {
        "argv": list(launch.argv),
        "parent_pid": os.getpid(),
        "folder_fd": launch.folder_fd,
        "uid": identity.uid if identity.drops else None,
        "gid": identity.gid if identity.drops else None,
        "death_signal": int(launch.death_signal),
    }
    log_fd = folder.open_log(launch.name)
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            "-S",
            str(LAUNCHER),
            json.dumps(plan),
            stdin=asyncio.subprocess.DEVNULL if launch.stdin is None else asyncio.subprocess.PIPE,
            stdout=log_fd,
            stderr=log_fd,
            pass_fds=(launch.folder_fd, *launch.keep_fds),
            start_new_session=True,
            env=ENVIRONMENT,
        )
    except OSError as error:
        raise StartupError(f"{launch.name} cannot be started: {error}") from error
    finally:
        os.close(log_fd)
    if launch.stdin is not None and process.stdin is not None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            process.stdin.write(launch.stdin)
            await process.stdin.drain()
        process.stdin.close()
    return Child(launch.name, process, folder.path / "log" / f"{launch.name}.log")


async def run_to_end(
    launch: Launch, folder: StateFolder, identity: Identity, patience_s: float
) -> None:
    """Run a child that ends by itself; raises StartupError when it fails or takes too long."""
    child = await spawn(launch, folder, identity)
    try:
        async with asyncio.timeout(patience_s):
            code: int | None = await child.wait()
    except TimeoutError:
        code = None
    finally:
        await child.end([(signal.SIGKILL, 5.0)])
    if code != 0:
        verdict = f"took over {patience_s:.0f} s" if code is None else f"failed with code {code}"
        raise StartupError(f"{launch.argv[0]} {verdict}:\n{child.log_tail()}")
