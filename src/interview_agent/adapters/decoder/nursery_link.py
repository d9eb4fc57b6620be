"""The parent's end of the nursery: starts it, asks it for children, hears how they ended."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from interview_agent.adapters.decoder.wire import MESSAGE_BYTES, READY

_BOOT = (
    "import sys; sys.path.append(sys.argv[1]); "
    "from interview_agent.adapters.decoder.nursery import main; "
    "main(int(sys.argv[2]), int(sys.argv[3]))"
)
_PACKAGE_ROOT = Path(__file__).resolve().parents[3]
_START_PATIENCE_S = 20.0
_PATIENCE_S = 5.0
_RETRY_S = 0.01
_MAX_MESSAGE_BYTES = 4096


class Child:
    """One decoding child: the socket to it and, once it is over, the way it ended."""

    def __init__(
        self, nursery: NurseryLink, number: int, link: socket.socket, ended: asyncio.Future[int]
    ) -> None:
        self.number = number
        self.link = link
        self.ended = ended
        self.heard = False
        self._nursery = nursery

    async def hear(self, timeout_s: float) -> bytes:
        """Return the next message; empty when the child has died. Raises `TimeoutError`."""
        if self.link.fileno() < 0:
            return b""
        self.heard = True
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.get_running_loop().sock_recv(self.link, MESSAGE_BYTES)
        except ConnectionError:
            return b""
        finally:
            self.heard = False

    def tell(self, message: bytes, descriptor: int | None = None) -> None:
        """Send a message; one that cannot arrive is dropped, as the child's silence tells why."""
        with contextlib.suppress(OSError):
            passed = [] if descriptor is None else [descriptor]
            socket.send_fds(self.link, [message], passed)

    async def end(self) -> int | None:
        """Kill and reap it if it still lives; return its exit code, None if the nursery died."""
        try:
            await self._nursery.end(self)
        finally:
            self.link.close()
        return self.ended.result() if self._nursery.alive else None


class NurseryLink:
    """Owns one nursery process; belongs to the event loop in which it was started.

    It must be started in a thread that outlives it, as the event loop's own: Linux kills a process
    bound to its parent when the parent's starting thread ends.
    """

    def __init__(self) -> None:
        self._control, remote = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.setblocking(False)
        self._children: dict[int, Child] = {}
        self._numbers = itertools.count()
        self._loop = asyncio.get_running_loop()
        with remote:
            fd = remote.fileno()
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and file names
                [sys.executable, "-I", "-c", _BOOT, str(_PACKAGE_ROOT), str(fd), str(os.getpid())],
                pass_fds=(fd,),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={},
                cwd="/",
            )
        self.alive = True
        self._ready = asyncio.Event()
        self._loop.add_reader(self._control.fileno(), self._listen)

    @property
    def exit_code(self) -> int | None:
        """How the process ended, minus the signal's number if it was killed; None while it runs."""
        return self._process.returncode

    async def bear(self, request: dict[str, Any]) -> Child:
        """Ask for a child. Raises `ConnectionError` or `TimeoutError` if the nursery is gone."""
        async with asyncio.timeout(_START_PATIENCE_S):
            await self._ready.wait()
        number = next(self._numbers)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        try:
            with theirs:
                await self._send({**request, "number": number}, theirs)
        except BaseException:
            ours.close()
            raise
        child = Child(self, number, ours, self._loop.create_future())
        self._children[number] = child
        if not self.alive:
            child.ended.set_result(-signal.SIGKILL)
        return child

    async def end(self, child: Child) -> None:
        """Kill a child and wait until it is reaped; a nursery that does not answer is ended."""
        try:
            async with asyncio.timeout(_PATIENCE_S):
                if not child.ended.done():
                    await self._send({"kill": child.number})
                await asyncio.shield(child.ended)
        except (TimeoutError, ConnectionError):
            self.close()
        finally:
            self._children.pop(child.number, None)

    def close(self) -> None:
        """End the nursery and with it all its children."""
        if self.alive:
            self.alive = False
            self._loop.remove_reader(self._control.fileno())
            self._control.close()
        self._ready.set()
        self._process.kill()
        self._process.wait()
        for child in self._children.values():
            if not child.ended.done():
                child.ended.set_result(-signal.SIGKILL)
            if not child.heard:
                child.link.close()

    async def _send(self, request: dict[str, Any], passed: socket.socket | None = None) -> None:
        body = json.dumps(request).encode()
        descriptors = [] if passed is None else [passed.fileno()]
        async with asyncio.timeout(_PATIENCE_S):
            while True:
                if not self.alive:
                    raise ConnectionResetError
                with contextlib.suppress(BlockingIOError):
                    socket.send_fds(self._control, [body], descriptors)
                    return
                await asyncio.sleep(_RETRY_S)

    def _listen(self) -> None:
        while True:
            try:
                message = self._control.recv(_MAX_MESSAGE_BYTES)
            except BlockingIOError:
                return
            except ConnectionError:
                message = b""
            if not message:
                self.close()
                return
            if message == READY:
                self._ready.set()
                continue
            told = json.loads(message)
            child = self._children.get(told["number"])
            if child is not None and not child.ended.done():
                child.ended.set_result(told["exit"])
