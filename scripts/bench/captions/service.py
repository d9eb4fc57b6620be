"""The service under test, started as its users start it: one process, embedded servers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp

from captions.process_tree import ProcessTree, UsageLog

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 40.0


class ServiceError(Exception):
    """The service did not start, or does not answer as it should."""


@dataclass(frozen=True)
class Service:
    """A running service and how to reach it."""

    address: str
    http: aiohttp.ClientSession
    usage: UsageLog


@contextlib.asynccontextmanager
async def running_service(folder: Path, model: Path, threads: int) -> AsyncIterator[Service]:
    """Run every role in a new folder below `folder` until the block ends."""
    home = folder / f"service-{secrets.token_hex(4)}"
    home.mkdir()
    key = secrets.token_urlsafe(24)
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environment = inherited | {
        "DATA_DIR": str(home / "data"),
        "API_PORT": "0",
        "API_KEYS": key,
        "WHISPER_MODEL_SIZE": str(model),
        "WHISPER_THREADS": str(threads),
        "SHUTDOWN_GRACE_SEC": "5",
    }
    log = home / "service.log"
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "interview_agent", "--role=all"),
            cwd=home,
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
        )
    usage = UsageLog(ProcessTree(process.pid))
    sampling = asyncio.create_task(usage.run())
    try:
        address = await _address(process, log)
        async with aiohttp.ClientSession(headers={"X-API-Key": key}) as http:
            yield Service(address, http, usage)
    finally:
        sampling.cancel()
        await _stop(process)


async def _address(process: asyncio.subprocess.Process, log: Path) -> str:
    """Read what the service prints until it names its address."""
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            async for line in process.stdout:
                if b" is ready at " in line:
                    return line.decode().split()[-1]
    except TimeoutError:
        pass
    written = await asyncio.to_thread(log.read_text, errors="replace")
    tail = "\n".join(written.splitlines()[-15:])
    message = f"the service did not start:\n{tail}"
    raise ServiceError(message)


async def _stop(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
