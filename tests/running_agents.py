"""The product as its users meet it: a process that is started, spoken to over HTTP, and killed."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import os
import re
import signal
import sys
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest_asyncio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

    from interview_agent.adapters.embedded import EmbeddedAddresses

KEY = "acceptance-key"
READY_TIMEOUT_S = 90.0


async def run_to_end(
    *words: str, folder: Path, timeout_s: float = 60.0, **environment: str
) -> tuple[int, str]:
    """Run Python with these words in a folder; return the exit code and all that was printed."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *words),
        cwd=folder,
        env=inherited | environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(timeout_s):
        printed, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, printed.decode()


class Agent:
    """One process of the service."""

    def __init__(self, folder: Path, role: str, environment: dict[str, str]) -> None:
        self.folder = folder
        self.role = role
        self.environment = environment
        self.address = ""
        self._process: asyncio.subprocess.Process | None = None
        self._session: aiohttp.ClientSession | None = None

    @property
    def log(self) -> str:
        return (self.folder / f"{self.role}.log").read_text(errors="replace")

    async def launch(self) -> asyncio.subprocess.Process:
        """Start the process and return it without waiting for anything."""
        inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        with (self.folder / f"{self.role}.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "interview_agent", f"--role={self.role}"),
                cwd=self.folder,
                env=inherited | self.environment,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )
        return self._process

    async def start(self) -> None:
        """Start the process and wait until it says that it is ready."""
        process = await self.launch()
        assert process.stdout is not None
        async with asyncio.timeout(READY_TIMEOUT_S):
            async for line in process.stdout:
                if b" is ready at " in line:
                    self.address = line.decode().split()[-1]
                    return
        raise AssertionError(self.log)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def kill(self) -> None:
        """End the process as a crash would."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> int:
        """Ask the process to end and return its exit code."""
        return await self._end(signal.SIGTERM)

    async def _end(self, number: signal.Signals) -> int:
        with contextlib.suppress(ProcessLookupError):
            self.signal(number)
        return await self.ended()

    def signal(self, number: signal.Signals) -> None:
        """Send the process a signal and wait for nothing."""
        assert self._process is not None
        self._process.send_signal(number)

    async def ended(self, timeout_s: float = 60.0) -> int:
        """Return the exit code once the process has ended by itself or by a signal."""
        assert self._process is not None
        if self._session is not None:
            await self._session.close()
            self._session = None
        async with asyncio.timeout(timeout_s):
            return await self._process.wait()

    async def close(self) -> None:
        if self._process is not None and self._process.returncode is None:
            await self.kill()

    async def call(
        self, method: str, path: str, body: Any = None, **options: Any
    ) -> tuple[int, Any]:
        """Send a request and return the status and the JSON of the answer."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                headers={"X-API-Key": KEY}, timeout=aiohttp.ClientTimeout(total=30)
            )
        if body is not None:
            options["json"] = body
        async with self._session.request(method, self.address + path, **options) as answer:
            return answer.status, await answer.json(content_type=None)

    async def get(self, path: str) -> Any:
        status, content = await self.call("GET", path)
        assert status == 200, content
        return content

    async def send(self, meeting_id: str, seq: int, body: bytes, **fields: Any) -> Any:
        """Send one chunk; the answer of an accepted one."""
        fields |= {"seq": seq, "content_b64": base64.b64encode(body).decode()}
        status, content = await self.call("POST", f"/v1/meetings/{meeting_id}/chunks", fields)
        assert status == 200, content
        return content

    async def record(self, meeting_id: str, file: Path, **query: str) -> Any:
        """Send a whole file; the answer of an accepted one."""
        status, content = await self.call(
            "POST",
            f"/v1/meetings/{meeting_id}/recording",
            params=query,
            data=io.BytesIO(file.read_bytes()),
            headers={"Content-Type": "audio/wav"},
        )
        assert status == 202, content
        return content

    async def until_done(self, meeting_id: str, timeout_s: float = 120.0) -> Any:
        """Return the meeting once it is done."""
        return await self.until(meeting_id, lambda found: found["status"] == "done", timeout_s)

    async def until(
        self, meeting_id: str, check: Callable[[Any], bool], timeout_s: float = 120.0
    ) -> Any:
        """Return the meeting once `check` holds for it."""
        found: Any = None
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    found = await self.get(f"/v1/meetings/{meeting_id}")
                    if check(found):
                        return found
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise AssertionError((found, self.log[-3000:])) from None


class Agents:
    """Starts processes in a folder and ends them all."""

    def __init__(self, folder: Path, shared: dict[str, str]) -> None:
        self._folder = folder
        self._shared = shared
        self._made: list[Agent] = []

    @property
    def blob_dir(self) -> Path:
        """The folder of the audio that processes made apart share."""
        return self._folder / "audio"

    def make(self, role: str = "all", name: str = "data", **environment: str) -> Agent:
        """Prepare a process with servers of its own; `name` is its data folder."""
        values = {
            "DATA_DIR": str(self._folder / name),
            "API_PORT": "0",
            "METRICS_PORT": "0",
            "API_KEYS": KEY,
            **environment,
        }
        self._made.append(Agent(self._folder, role, values))
        return self._made[-1]

    def make_apart(self, roles: Sequence[str], **environment: str) -> list[Agent]:
        """Prepare processes that share a PostgreSQL, a Valkey, a model and a folder of audio."""
        shared = {
            **self._shared,
            "STORAGE_MODE": "shared_fs",
            "STORAGE_SHARED_FS_DIR": str(self.blob_dir),
            **environment,
        }
        return [self.make(role, f"data-{number}", **shared) for number, role in enumerate(roles)]

    async def close(self) -> None:
        for each in self._made:
            await each.close()


@pytest_asyncio.fixture
async def agents(
    tmp_path: Path, dsn: str, servers: EmbeddedAddresses, model_folder: Path
) -> AsyncIterator[Agents]:
    """Processes of the service, all ended after the test."""

    def from_outside(address: str) -> str:
        return re.sub(r"/proc/self/fd/\d+", str(servers.socket_dir), address)

    made = Agents(
        tmp_path,
        {
            "POSTGRES_DSN": from_outside(dsn),
            "REDIS_URL": from_outside(servers.redis_url or ""),
            "WHISPER_MODEL_SIZE": str(model_folder),
        },
    )
    try:
        yield made
    finally:
        await made.close()
