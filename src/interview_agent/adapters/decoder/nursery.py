"""The process that has libav loaded and forks one confined child for every stream.

Forking costs a few milliseconds and shares the loaded libraries; a fresh interpreter costs over a
tenth of a second and 30 MB.
This process itself never sees a byte of foreign audio. It has one thread.
"""

from __future__ import annotations

import gc
import json
import os
import selectors
import signal
import socket
import struct
from typing import Any

from interview_agent.adapters.decoder.confinement import (
    die_with_parent,
    leave_the_world,
    limit_resources,
)
from interview_agent.adapters.decoder.decoding import Outlet, decode
from interview_agent.adapters.decoder.parts import ParentGoneError, Parts
from interview_agent.adapters.decoder.wire import (
    DONE,
    LAST,
    PART,
    READY,
    REFUSED,
    RefusalError,
    Wanted,
)

_MAX_REQUEST_BYTES = 4096


class Nursery:
    """Answers the parent's requests and tells it how each child ended."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._children: dict[int, int] = {}
        self._selector = selectors.DefaultSelector()
        self._woken, self._waker = socket.socketpair()

    def run(self) -> None:
        """Serve until the parent hangs up; the children die with this process."""
        self._waker.setblocking(False)
        self._woken.setblocking(False)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._selector.register(self._control, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._control.send(READY)
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._woken:
                    self._woken.recv(_MAX_REQUEST_BYTES)
                    self._reap()
                elif not self._serve():
                    return

    def _serve(self) -> bool:
        message, descriptors, _, _ = socket.recv_fds(self._control, _MAX_REQUEST_BYTES, 1)
        if not message:
            return False
        request = json.loads(message)
        if "kill" in request:
            for pid, number in self._children.items():
                if number == request["kill"]:
                    os.kill(pid, signal.SIGKILL)
        elif descriptors:
            self._fork(request, descriptors[0])
        return True

    def _fork(self, request: dict[str, Any], descriptor: int) -> None:
        nursery_pid = os.getpid()
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            die_with_parent(nursery_pid)
            for held in (self._control, self._woken, self._waker, self._selector):
                held.close()
            try:
                _live(socket.socket(fileno=descriptor), request)
            finally:
                os._exit(1)
        os.close(descriptor)
        self._children[pid] = request["number"]

    def _reap(self) -> None:
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            number = self._children.pop(pid)
            ended = {"number": number, "exit": os.waitstatus_to_exitcode(status)}
            self._control.send(json.dumps(ended).encode())


def _live(parent: socket.socket, request: dict[str, Any]) -> None:
    """Decode one stream and end this process."""
    limit_resources(request["memory_bytes"], request["cpu_s"])
    wanted = Wanted(**request["wanted"])
    try:
        outlet = Outlet(parent, wanted.max_samples)
        parts = Parts(parent, outlet.flush)
        try:
            decode(parts, wanted, outlet)
        finally:
            if parts.fault is not None:
                raise parts.fault
        parent.send(DONE)
    except RefusalError as refusal:
        parent.send(REFUSED + f"{refusal.reason}\n{refusal.message}".encode())
    except MemoryError:
        parent.send(REFUSED + b"out_of_memory\nDecoding needs more memory than it may have.")
    except (ParentGoneError, ConnectionError):
        pass
    os._exit(0)


def _rehearse() -> None:
    """Decode some silence of our own, so that whatever loads late is loaded before the limits."""
    samples = bytes(1600)
    head = b"RIFF\x64\x06\x00\x00WAVEfmt " + struct.pack(
        *("<IHHIIHH4sI", 16, 1, 2, 8000, 32_000, 4, 16, b"data", len(samples))
    )
    far, near = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with far, near:
        silence = os.memfd_create("silence")
        os.write(silence, head + samples)
        socket.send_fds(far, [PART], [silence])
        os.close(silence)
        far.send(LAST)
        outlet = Outlet(near, len(samples))
        decode(Parts(near, outlet.flush), Wanted("auto", 0, 0, None, len(samples)), outlet)


def main(control_fd: int, parent_pid: int) -> None:
    """Run a nursery that talks over the inherited socket `control_fd`."""
    # A terminal and some supervisors signal whole groups; a graceful stop still needs the children.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _rehearse()
    leave_the_world()
    die_with_parent(parent_pid)
    gc.collect()
    gc.freeze()
    Nursery(socket.socket(fileno=control_fd)).run()
