"""Settings of PostgreSQL and Redis."""

from __future__ import annotations

from pydantic import Field, SecretStr

from interview_agent.settings.group import Group
from interview_agent.settings.kinds import Dsn


class Servers(Group):
    """The two servers that all processes share."""

    heading = "PostgreSQL and Redis"

    postgres_dsn: Dsn | None = Field(
        None, description="Address of PostgreSQL; unset outside prod: an embedded one is started."
    )
    postgres_pool_size: int = Field(
        10, ge=2, le=200, description="Most connections that this process opens to PostgreSQL."
    )
    redis_url: SecretStr | None = Field(
        None, description="Address of Redis or Valkey; unset outside prod: an embedded one."
    )
    run_migrations: bool = Field(
        True, description="Apply missing migrations at start, under a lock."
    )
    queue_max_waiting: int = Field(
        10_000, ge=100, description="Most wake-ups that a stream holds; older ones are dropped."
    )
