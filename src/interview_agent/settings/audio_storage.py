"""Settings of the folder of the audio."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from interview_agent.settings.group import Group


class AudioStorage(Group):
    """Where audio lies."""

    heading = "Audio storage"

    storage_mode: Literal["local_fs", "shared_fs"] = Field(
        "local_fs", description="Where audio lies: a local folder or one shared by all processes."
    )
    chunks_dir: Path | None = Field(
        None, description="Folder of the audio; default `DATA_DIR/chunks`."
    )
    storage_shared_fs_dir: Path | None = Field(
        None, description="Folder of the audio in `shared_fs` mode; default `CHUNKS_DIR`."
    )
    storage_require_shared_in_prod: bool = Field(
        True,
        description="In production, take `STORAGE_MODE=local_fs` for an error"
        " (`storage_not_shared_fs`).",
    )
