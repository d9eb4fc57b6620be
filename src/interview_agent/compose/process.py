"""A whole process: everything that its roles need, opened in order."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Literal

import structlog

from interview_agent import __version__
from interview_agent.adapters.postgres import (
    PostgresArchive,
    PostgresAuditStore,
    PostgresDeletions,
    PostgresWorkStore,
    migrate,
)
from interview_agent.adapters.postgres.migrations import missing_migrations, rehearse_migrations
from interview_agent.compose.access import check_access
from interview_agent.compose.connector import open_bots, startup_probes
from interview_agent.compose.front import add_web
from interview_agent.compose.readiness import add_checks, judge_settings, judge_start
from interview_agent.compose.servers import connect, find_addresses, open_backends
from interview_agent.compose.stages import add_stages
from interview_agent.compose.tracing import open_spans
from interview_agent.domain.errors import StartupError
from interview_agent.domain.roles import Role, stages_of, sweeps
from interview_agent.metrics import BUILD, SWEPT, SWEPT_KINDS, Metrics
from interview_agent.runtime import gauges, upkeep
from interview_agent.runtime.service import Service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from interview_agent.compose.servers import Backends
    from interview_agent.settings import Settings

log = structlog.get_logger(__name__)


@asynccontextmanager
async def open_service(settings: Settings, roles: frozenset[Role]) -> AsyncIterator[Service]:
    """Start everything that the roles need, in order, and close it in the opposite order.

    Raises `StartupError` with a sentence that says what to do.
    """
    loop = asyncio.get_running_loop()
    stages = stages_of(roles)
    service = Service(
        settings,
        roles,
        Metrics("-".join(sorted(role.value for role in roles)), defer=loop.call_soon_threadsafe),
    )
    await judge_settings(service)
    _check_settings(settings)
    if settings.not_built:
        cause = "no language model is built in"
        log.warning("settings_ignored", names=list(settings.not_built), cause=cause)
    service.metrics.set(BUILD, 1, version=__version__)
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    async with AsyncExitStack() as stack:
        service.spans = open_spans(settings, stack)
        parts = await open_backends(service, stages, stack)
        bots = open_bots(service, parts, stack)
        await add_stages(service, stages, parts, stack, bots)
        _add_upkeep(service, parts)
        stack.push_async_callback(service.checks.aclose)
        await judge_start(service, *startup_probes(settings, bots))
        await add_web(service, parts, stack, bots)
        yield service


async def migrate_database(
    settings: Settings, how: Literal["apply", "check", "rehearse"] = "apply"
) -> list[str]:
    """Apply the missing migrations to the configured or embedded database; return their names.

    `check` changes nothing, `rehearse` takes back what it applied.
    """
    async with AsyncExitStack() as stack:
        service = Service(settings, frozenset(), Metrics("migrate"))
        addresses = await find_addresses(service, stack)
        database = await connect(settings, addresses.postgres_dsn, stack)
        match how:
            case "apply":
                return await migrate(database)
            case "check":
                return await missing_migrations(database)
            case "rehearse":
                return await rehearse_migrations(database)


def _check_settings(settings: Settings) -> None:
    missing = [
        name
        for name, value in (
            ("POSTGRES_DSN", settings.postgres_dsn),
            ("REDIS_URL", settings.redis_url),
        )
        if settings.is_prod and value is None
    ]
    if missing:
        message = f"in production {' and '.join(missing)} must be set: nothing is embedded there"
        raise StartupError(message)
    check_access(settings)
    if settings.smtp_user and settings.smtp_security == "none":
        message = "SMTP_SECURITY=none would send SMTP_PASS in clear; use starttls or tls"
        raise StartupError(message)


def _add_upkeep(service: Service, parts: Backends) -> None:
    metrics, work = service.metrics, PostgresWorkStore(parts.database)
    deletions = PostgresDeletions(parts.database)
    add_checks(service, parts, work)
    metrics.start_at_zero(SWEPT, ({"kind": kind} for kind in SWEPT_KINDS))
    service.loops |= {
        "loop_lag": partial(gauges.measure_loop_lag, metrics),
        "gauges": partial(
            gauges.refresh_gauges,
            metrics,
            work,
            deletions,
            parts.blobs,
            service.issues,
            storage_mode=service.settings.storage_mode,
        ),
    }
    if sweeps(service.roles):
        settings = service.settings
        service.loops |= {
            "orphans": partial(
                upkeep.sweep_orphans, PostgresArchive(parts.database), parts.blobs, metrics
            ),
            "old_audit_rows": partial(
                upkeep.sweep_audit,
                PostgresAuditStore(parts.database),
                metrics,
                days=settings.retention_days_audit,
            ),
            "retention_due": partial(
                upkeep.schedule_retention,
                deletions,
                parts.wake,
                metrics,
                days=min(settings.retention_days_audio, settings.retention_days_text),
            ),
        }
