"""A real Chromium without a screen, driven over its debugging protocol."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import shutil
import signal
from typing import TYPE_CHECKING, Any

from aiohttp import ClientSession

if TYPE_CHECKING:
    from pathlib import Path

EXECUTABLE = shutil.which("chromium") or shutil.which("chromium-browser")
START_TIMEOUT_S = 60.0


class Chromium:
    """One page whose microphone hears a wav file once, from the moment it is opened."""

    def __init__(self, folder: Path, microphone: Path) -> None:
        self._folder = folder
        self._microphone = microphone
        self._numbers = itertools.count(1)
        self._stack = contextlib.AsyncExitStack()

    async def open(self, url: str) -> None:
        """Start the browser and open a page."""
        assert EXECUTABLE is not None
        process = await asyncio.create_subprocess_exec(
            EXECUTABLE,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--use-fake-ui-for-media-stream",
            "--use-fake-device-for-media-stream",
            f"--use-file-for-fake-audio-capture={self._microphone}%noloop",
            "--autoplay-policy=no-user-gesture-required",
            "--remote-debugging-port=0",
            f"--user-data-dir={self._folder}",
            url,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            # The browser is a shell script that starts a tree: it is ended as a group.
            process_group=0,
        )
        self._stack.push_async_callback(_end, process)
        self._socket = await self._attach(url)

    async def close(self) -> None:
        """End the browser."""
        await self._stack.aclose()

    async def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression."""
        number = next(self._numbers)
        parameters = {"expression": expression, "returnByValue": True, "awaitPromise": True}
        await self._socket.send_json(
            {"id": number, "method": "Runtime.evaluate", "params": parameters}
        )
        while True:
            answer = await self._socket.receive_json(timeout=30)
            if answer.get("id") == number:
                result = answer["result"]
                assert "exceptionDetails" not in result, result["exceptionDetails"]
                return result["result"].get("value")

    async def until(self, expression: str, timeout_s: float = 30.0) -> Any:
        """Return the value of an expression once it is true."""
        value = None
        try:
            async with asyncio.timeout(timeout_s):
                while not (value := await self.evaluate(expression)):
                    await asyncio.sleep(0.05)
        except TimeoutError:
            page = await self.evaluate("document.body.innerText")
            raise AssertionError((expression, page)) from None
        return value

    async def _attach(self, url: str) -> Any:
        port_file = self._folder / "DevToolsActivePort"
        http = await self._stack.enter_async_context(ClientSession())
        async with asyncio.timeout(START_TIMEOUT_S):
            while not (port_file.exists() and port_file.read_text()):
                await asyncio.sleep(0.05)
            port = int(port_file.read_text().split()[0])
            while True:
                async with http.get(f"http://127.0.0.1:{port}/json/list") as answer:
                    pages = json.loads(await answer.text())
                page = next((each for each in pages if each["url"] == url), None)
                if page is not None:
                    break
                await asyncio.sleep(0.05)
        return await self._stack.enter_async_context(http.ws_connect(page["webSocketDebuggerUrl"]))


async def _end(process: asyncio.subprocess.Process) -> None:

    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
