"""Settings of the process itself."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from interview_agent.settings.group import Group

RELAXED_ENVIRONMENTS = ("dev", "local", "test")
"""Anything else is treated as production."""


class Process(Group):
    """What kind of process this is, and how it speaks and ends."""

    heading = "The process"

    app_env: str = Field(
        "dev", description="`dev`, `local` or `test`; anything else is treated as production."
    )
    data_dir: Path = Field(
        Path("data"), description="Folder of everything that this process keeps by itself."
    )
    readiness_fail_fast_in_prod: bool = Field(
        True,
        description="In production, end at once when a readiness check finds an error; `false` only"
        " reports it.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Least severity that is logged."
    )
    log_format: Literal["json", "text"] = Field(
        "json", description="`json`: one object a line; `text`: for people."
    )
    shutdown_grace_sec: float = Field(
        25.0, gt=0, description="Seconds that running work gets to end after SIGTERM."
    )

    @property
    def is_prod(self) -> bool:
        """Whether this process must be safe: the environment is not explicitly relaxed."""
        return self.app_env not in RELAXED_ENVIRONMENTS
