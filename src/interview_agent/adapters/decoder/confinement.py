"""What a decoding child gives up before it sees a byte of foreign audio (Linux)."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38
_CLONE_NEWNET = 0x4000_0000
_UNUSED_ID = 65_533
_MAX_FILES = 256
_GRACE_S = 5

_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent(parent_pid: int) -> None:
    """Arrange to be killed when the parent goes; end now if it has gone already."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent_pid:
        os._exit(0)


def leave_the_world() -> None:
    """Drop network, privileges and the working directory, as far as this machine permits.

    Without the right to make a network namespace or to change the user, the child keeps them; its
    demuxers know no protocol either way.
    """
    os.chdir("/")
    _libc.unshare(_CLONE_NEWNET)
    if os.geteuid() == 0:
        with contextlib.suppress(OSError):
            os.setgroups([])
            os.setgid(_UNUSED_ID)
            os.setuid(_UNUSED_ID)
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def limit_resources(memory_bytes: int, cpu_s: int) -> None:
    """Bound address space, processor time and files; forbid core dumps and writing."""
    wanted = {
        resource.RLIMIT_AS: memory_bytes,
        resource.RLIMIT_NOFILE: _MAX_FILES,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: 0,
    }
    for kind, limit in wanted.items():
        hard = resource.getrlimit(kind)[1]
        bound = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(kind, (bound, bound))
    # Between the two bounds SIGXCPU arrives, which tells running out of time from being killed.
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + _GRACE_S))
