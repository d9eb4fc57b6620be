"""What a killed run leaves behind, and when it may be removed."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def processes_in(folder_fd: int, program: str, proc: Path = Path("/proc")) -> list[int]:
    """Ids of live processes called `program` whose working directory is that folder.

    PostgreSQL's processes all stand in their data directory, so this finds the server and its
    orphans by what they are, where a recorded pid may be recycled or a zombie (which has no
    directory any more). Processes of other users are seen by root alone, who alone has such.
    """
    wanted = os.fstat(folder_fd)
    found = []
    for entry in proc.iterdir():
        if not entry.name.isdigit():
            continue
        # Processes end while we look, and other users' may not be looked at.
        with suppress(OSError):
            if (entry / "comm").read_text().strip() != program:
                continue
            here = (entry / "cwd").stat()
            if (here.st_dev, here.st_ino) == (wanted.st_dev, wanted.st_ino):
                found.append(int(entry.name))
    return found


def remove(folder_fd: int, names: Iterable[str]) -> None:
    """Remove those of the named files that are there."""
    for name in names:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder_fd)
