"""The checks of readiness without the service: nothing is started, migrated or prepared."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from interview_agent.adapters.local_fs import LocalFsBlobStore
from interview_agent.adapters.postgres import open_database
from interview_agent.adapters.postgres.installation import known_storage
from interview_agent.adapters.valkey import ValkeyWakeQueue
from interview_agent.compose.connector import open_connector, probe_gateway
from interview_agent.compose.readiness import (
    database_check,
    queue_check,
    standing_issues,
    storage_check,
)
from interview_agent.compose.servers import secret_of
from interview_agent.domain.errors import AgentError, DatabaseError, StorageError
from interview_agent.domain.readiness import findings
from interview_agent.runtime.readiness import ask

if TYPE_CHECKING:
    from pathlib import Path

    from interview_agent.adapters.postgres import Database
    from interview_agent.domain.readiness import Issue
    from interview_agent.domain.roles import Role
    from interview_agent.settings import Settings

_CONNECT_TIMEOUT_S = 5.0
_PATIENCE_S = 10.0


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What was found, and what could not be looked at, a sentence each."""

    issues: tuple[Issue, ...]
    unchecked: tuple[str, ...]


async def check_deployment(settings: Settings, roles: frozenset[Role]) -> CheckReport:
    """Look at the settings, and at the servers and the folder that they name.

    Every server is given up on after some seconds. Nothing is written but a probe in a folder of
    audio that is in use already.
    """
    issues = await standing_issues(settings, roles)
    unchecked: list[str] = []
    async with AsyncExitStack() as stack:
        database = await _reach_database(settings, stack, issues, unchecked)
        if database is not None:
            look = database_check(database, prod=settings.is_prod)
            issues += await ask(look, findings.DATABASE_FAILED, _PATIENCE_S)
        await _look_at_queue(settings, stack, issues, unchecked)
        await _look_at_storage(settings, database, stack, issues, unchecked)
        await _look_at_gateway(settings, stack, issues)
    return CheckReport(tuple(issues), tuple(unchecked))


async def _reach_database(
    settings: Settings, stack: AsyncExitStack, issues: list[Issue], unchecked: list[str]
) -> Database | None:
    dsn = secret_of(settings.postgres_dsn)
    if dsn is None:
        if settings.embedded_postgres:
            unchecked.append("PostgreSQL is embedded: it starts and stops with the service.")
        return None
    try:
        database = await open_database(
            dsn, size=2, name="interview-agent check", connect_timeout_s=_CONNECT_TIMEOUT_S
        )
    except DatabaseError:
        issues.append(findings.DATABASE_FAILED.error())
        return None
    stack.push_async_callback(database.close)
    return database


async def _look_at_queue(
    settings: Settings, stack: AsyncExitStack, issues: list[Issue], unchecked: list[str]
) -> None:
    url = secret_of(settings.redis_url)
    if url is None:
        if settings.embedded_redis:
            unchecked.append("Redis is embedded: it starts and stops with the service.")
        return
    wake = ValkeyWakeQueue(url, stages=(), consumer="check", max_waiting=1, on_failure=lambda: None)
    stack.push_async_callback(wake.aclose)
    issues += await ask(queue_check(wake), findings.REDIS_FAILED, _PATIENCE_S)


async def _look_at_storage(
    settings: Settings,
    database: Database | None,
    stack: AsyncExitStack,
    issues: list[Issue],
    unchecked: list[str],
) -> None:
    blobs = LocalFsBlobStore(settings.blob_dir)
    stack.push_async_callback(blobs.aclose)

    async def probe() -> None:
        await blobs.prepare(marker)
        await blobs.check()

    marker = await _known_marker(database)
    try:
        in_use = marker is not None or await blobs.is_marked()
    except StorageError:
        issues.append(findings.STORAGE_FAILED.error())
        return
    if in_use:
        issues += await ask(storage_check(probe), findings.STORAGE_FAILED, _PATIENCE_S)
        return
    unchecked.append(f"{settings.blob_dir} holds no audio yet: the first start marks it.")
    if not await asyncio.to_thread(_may_write, settings.blob_dir):
        issues.append(findings.STORAGE_FAILED.error())


async def _look_at_gateway(settings: Settings, stack: AsyncExitStack, issues: list[Issue]) -> None:
    connector = open_connector(settings, stack)
    if connector is not None:
        issues += await probe_gateway(settings, connector)


async def _known_marker(database: Database | None) -> str | None:
    if database is None:
        return None
    try:
        return await known_storage(database)
    except AgentError:
        # What is wrong with the database was found before.
        return None


def _may_write(folder: Path) -> bool:
    there = next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)
