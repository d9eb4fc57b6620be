"""Where servers of tests keep their files: in memory, where the machine has room for them."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of one's own is made below it
PREFIX = "interview-agent-tests-"
ROOM_BYTES = 4 << 30
"""Some servers with their logs, a model, and the databases of the tests that run at once."""


def memory_folder(name: str) -> Path:
    """Make an empty folder in memory, or on disk where less than `ROOM_BYTES` are free there.

    What is in memory outlives the processes that wrote it, as it must for tests that kill them. A
    new database takes a hundredth of a second there, and half a second on a busy disk.
    """
    _remove_abandoned()
    try:
        has_room = shutil.disk_usage(MEMORY).free >= ROOM_BYTES
    except OSError:
        has_room = False
    return Path(
        tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-{name}-", dir=MEMORY if has_room else None)
    )


def _remove_abandoned() -> None:
    # A run that was killed cannot give its memory back.
    for left in MEMORY.glob(f"{PREFIX}*"):
        pid = left.name.removeprefix(PREFIX).partition("-")[0]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            shutil.rmtree(left, ignore_errors=True)
