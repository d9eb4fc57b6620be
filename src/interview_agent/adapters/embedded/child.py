"""Turns a fresh child process into a server: gives up root, ties its life to ours, executes it.

Run as a script by path, never imported by the service. It needs the standard library alone and
imports nothing after the change of user, because the interpreter's own files may lie where that
user cannot read. The one argument is a `Plan` as JSON.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from typing import TypedDict

PR_SET_PDEATHSIG = 1
EXIT_ORPHANED = 71


class Plan(TypedDict):
    """What to become: descriptors are inherited, `uid` null means the user stays."""

    argv: list[str]
    parent_pid: int
    folder_fd: int
    uid: int | None
    gid: int | None
    death_signal: int


def become(plan: Plan) -> None:
    """Replace this process by `argv[0]`, running in `folder_fd`; raises OSError."""
    os.fchdir(plan["folder_fd"])
    os.umask(0o077)
    if plan["uid"] is not None and plan["gid"] is not None:
        os.setgroups([])
        os.setgid(plan["gid"])
        os.setuid(plan["uid"])
    # After setuid, which clears the request; execve of an ordinary program keeps it.
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, plan["death_signal"], 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    # The parent may have died before the request was made; then nobody would ever signal us.
    if os.getppid() != plan["parent_pid"]:
        os._exit(EXIT_ORPHANED)
    # The interpreter ignores these two, and ignored signals stay ignored across execve.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    os.execv(plan["argv"][0], plan["argv"])  # noqa: S606 - no shell is the point


if __name__ == "__main__":
    become(json.loads(sys.argv[1]))
