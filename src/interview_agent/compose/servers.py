"""The servers that a process uses, its own or others', and the stores and queues on them."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from interview_agent.adapters.embedded import EmbeddedStack
from interview_agent.adapters.local_fs import MARKER, LocalFsBlobStore
from interview_agent.adapters.postgres import Database, check_schema, migrate, open_database
from interview_agent.adapters.postgres.installation import known_storage, remember_storage
from interview_agent.adapters.valkey import ValkeyBroadcast, ValkeyWakeQueue
from interview_agent.domain.errors import DatabaseError, StartupError, StorageError
from interview_agent.domain.readiness.findings import DATABASE_FAILED, STORAGE_NOT_MOUNTED
from interview_agent.metrics import BROADCAST_FAILURES, EMBEDDED_EXITS, WAKE_FAILURES
from interview_agent.runtime import gauges

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AsyncExitStack

    from pydantic import SecretStr

    from interview_agent.domain.route import Stage
    from interview_agent.runtime.service import Service
    from interview_agent.settings import Settings

_EXTERNAL_PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class Backends:
    """What every part of a process shares.

    `worker` names the process among all that share these; no other run of it has the same name.
    """

    worker: str
    database: Database
    wake: ValkeyWakeQueue
    broadcast: ValkeyBroadcast
    blobs: LocalFsBlobStore


async def open_backends(
    service: Service, stages: Sequence[Stage], stack: AsyncExitStack
) -> Backends:
    """Start or reach every server and store; `stack` closes them. Raises `StartupError`."""
    settings, metrics = service.settings, service.metrics
    addresses = await find_addresses(service, stack)
    database = await _database(service, addresses.postgres_dsn, stack)
    blobs = LocalFsBlobStore(settings.blob_dir)
    stack.push_async_callback(blobs.aclose)
    await _find_storage(database, blobs)
    await blobs.check()
    metrics.count(WAKE_FAILURES, 0)
    worker = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"
    wake = ValkeyWakeQueue(
        addresses.redis_url,
        stages=stages,
        consumer=worker,
        max_waiting=settings.queue_max_waiting,
        on_failure=partial(metrics.count, WAKE_FAILURES),
    )
    stack.push_async_callback(wake.aclose)
    metrics.count(BROADCAST_FAILURES, 0)
    broadcast = ValkeyBroadcast(
        addresses.redis_url, on_failure=partial(metrics.count, BROADCAST_FAILURES)
    )
    stack.push_async_callback(broadcast.aclose)
    service.loops |= {"wakes": wake.run_publisher, "broadcast": broadcast.run_publisher}
    return Backends(worker, database, wake, broadcast, blobs)


async def _find_storage(database: Database, blobs: LocalFsBlobStore) -> None:
    """Make the folder of the audio at the first start; later it must be the same one."""
    marker = await known_storage(database)
    try:
        found = await blobs.prepare(marker)
    except StorageError as error:
        if error.details.get("cause") != "not_mounted":
            raise
        found = ""
    if found and marker is None:
        marker = await remember_storage(database, found)
    if found != marker:
        problem = STORAGE_NOT_MOUNTED
        message = (
            f"{problem.message} {problem.mend} If the files have moved here, write {marker} into"
            f" its file {MARKER}. ({problem.code})"
        )
        raise StartupError(message)


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where PostgreSQL and Valkey answer."""

    postgres_dsn: str
    redis_url: str


def secret_of(value: SecretStr | None) -> str | None:
    """Return what a secret setting holds."""
    return value.get_secret_value() if value else None


async def find_addresses(service: Service, stack: AsyncExitStack) -> Addresses:
    """Return the addresses that are set, and for the others those of servers of our own."""
    settings = service.settings
    given = (secret_of(settings.postgres_dsn), secret_of(settings.redis_url))
    if not settings.embedded_postgres and not settings.embedded_redis:
        return Addresses(given[0] or "", given[1] or "")
    embedded = EmbeddedStack(
        settings.data_dir,
        postgres=settings.embedded_postgres,
        valkey=settings.embedded_redis,
        on_child_exit=lambda child, _: service.metrics.count(EMBEDDED_EXITS, child=child),
    )
    stack.push_async_callback(embedded.stop)
    addresses = await embedded.start()
    service.metrics.start_at_zero(EMBEDDED_EXITS, ({"child": name} for name in embedded.alive()))
    service.loops["embedded"] = embedded.watch
    service.loops["embedded_gauges"] = partial(
        gauges.watch_embedded, service.metrics, embedded.alive
    )
    return Addresses(
        given[0] or addresses.postgres_dsn or "", given[1] or addresses.redis_url or ""
    )


async def connect(settings: Settings, dsn: str, stack: AsyncExitStack) -> Database:
    """Connect to PostgreSQL, patiently. Raises `StartupError`."""
    patience_ends = time.monotonic() + _EXTERNAL_PATIENCE_S
    while True:
        try:
            database = await open_database(
                dsn,
                size=settings.postgres_pool_size,
                name="interview-agent",
                connect_timeout_s=10.0,
            )
            break
        except DatabaseError as error:
            if time.monotonic() > patience_ends:
                cause = error.details.get("cause", error.code)
                message = (
                    f"PostgreSQL at POSTGRES_DSN cannot be used: {cause} ({DATABASE_FAILED.code})"
                )
                raise StartupError(message) from error
            await asyncio.sleep(1.0)
    stack.push_async_callback(database.close)
    return database


async def _database(service: Service, dsn: str, stack: AsyncExitStack) -> Database:
    database = await connect(service.settings, dsn, stack)
    if service.settings.run_migrations:
        await migrate(database)
    await check_schema(database)
    return database
