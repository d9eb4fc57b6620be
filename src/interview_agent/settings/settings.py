"""All settings of a process, as one flat object."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import PrivateAttr

from interview_agent.settings.access import Access
from interview_agent.settings.audio_storage import AudioStorage
from interview_agent.settings.connector import Connector
from interview_agent.settings.delivery import Delivery
from interview_agent.settings.limits import Limits
from interview_agent.settings.live import Live
from interview_agent.settings.privacy import Privacy
from interview_agent.settings.process import Process
from interview_agent.settings.servers import Servers
from interview_agent.settings.speech import Speech
from interview_agent.settings.tokens import Tokens
from interview_agent.settings.tracing import Tracing
from interview_agent.settings.web import Web

if TYPE_CHECKING:
    from pathlib import Path

    from interview_agent.settings.group import Group


class Settings(
    Process,
    Web,
    Access,
    Tokens,
    Limits,
    Servers,
    AudioStorage,
    Live,
    Speech,
    Privacy,
    Delivery,
    Connector,
    Tracing,
):
    """The configuration of one process; the pages show the groups in this order."""

    _files: dict[str, Path] = PrivateAttr(default_factory=dict)
    _not_built: list[str] = PrivateAttr(default_factory=list)

    def file_of(self, name: str) -> Path | None:
        """Return the file that the value of a setting was read from, None where none was."""
        return self._files.get(name)

    @property
    def not_built(self) -> tuple[str, ...]:
        """Names of variables that were given for a language model, which there is none of."""
        return tuple(self._not_built)

    @property
    def embedded_postgres(self) -> bool:
        """Whether PostgreSQL is a child of this process."""
        return self.postgres_dsn is None and not self.is_prod

    @property
    def embedded_redis(self) -> bool:
        """Whether Valkey is a child of this process."""
        return self.redis_url is None and not self.is_prod

    @property
    def blob_dir(self) -> Path:
        """The folder of the audio."""
        local = self.chunks_dir or self.data_dir / "chunks"
        if self.storage_mode == "shared_fs":
            return self.storage_shared_fs_dir or local
        return local


GROUPS: tuple[type[Group], ...] = Settings.__bases__
"""Every group once, in the order of the pages."""
