"""Which checks a process makes of its settings and of what it needs, and what follows."""

from __future__ import annotations

import asyncio
import stat
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import structlog

from interview_agent.adapters.postgres.installation import read_durability
from interview_agent.adapters.postgres.migrations import missing_migrations
from interview_agent.adapters.whisper.model_files import is_present
from interview_agent.domain.errors import StartupError, StorageError
from interview_agent.domain.readiness import (
    Deployment,
    database_issues,
    deployment_issues,
    errors_in,
    findings,
    one_line,
    queue_issues,
)
from interview_agent.domain.roles import stages_of
from interview_agent.domain.route import Stage
from interview_agent.pipeline.connector import deadline_s
from interview_agent.runtime.readiness import ProgressWatch

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence
    from pathlib import Path

    from pydantic import SecretStr

    from interview_agent.adapters.postgres import Database
    from interview_agent.adapters.valkey import ValkeyWakeQueue
    from interview_agent.compose.servers import Backends
    from interview_agent.domain.readiness import Issue
    from interview_agent.domain.roles import Role
    from interview_agent.ports.work import WorkStore
    from interview_agent.runtime.readiness import Check
    from interview_agent.runtime.service import Service
    from interview_agent.settings import Settings

_START_PATIENCE_S = 10.0
_WELL_KNOWN_PASSWORD = "interview"  # noqa: S105 - docker-compose.yml has it for a first try

log = structlog.get_logger(__name__)


def deployment_of(settings: Settings) -> Deployment:
    """Return the facts that settings state, without any secret."""
    keys = [key.get_secret_value() for key in settings.api_keys]
    return Deployment(
        prod=settings.is_prod,
        has_postgres_dsn=settings.postgres_dsn is not None,
        has_redis_url=settings.redis_url is not None,
        has_well_known_password=_is_well_known(settings.postgres_dsn)
        or _is_well_known(settings.redis_url),
        auth_mode=settings.auth_mode,
        require_jwt_in_prod=settings.auth_require_jwt_in_prod,
        user_keys=len(keys),
        user_keys_without_tenant=sum(":" not in key for key in keys),
        service_keys=len(settings.service_api_keys),
        service_keys_with_jwt=settings.allow_service_api_key_in_jwt_mode,
        issuer_url=settings.oidc_issuer_url or "",
        jwks_url=settings.oidc_jwks_url or "",
        audience=settings.oidc_audience or "",
        algorithms=settings.oidc_algorithms,
        has_shared_secret=settings.jwt_shared_secret is not None,
        tenants_enforced=settings.tenant_enforcement_enabled,
        tenant_claim=settings.tenant_claim_key,
        storage_mode=settings.storage_mode,
        require_shared_in_prod=settings.storage_require_shared_in_prod,
        has_audio_dir=bool(settings.storage_shared_fs_dir or settings.chunks_dir),
        cors_origins=settings.cors_allowed_origins,
        stt_provider=settings.stt_provider,
        connector=settings.meeting_connector_provider,
        connector_base=settings.sberjazz_api_base or "",
        connector_needs_https=settings.sberjazz_require_https_in_prod,
        has_connector_token=settings.sberjazz_api_token is not None,
        connector_call_s=settings.sberjazz_timeout_sec,
        connector_operation_s=deadline_s(settings.sberjazz_op_lock_ttl_sec),
    )


def _is_well_known(address: SecretStr | None) -> bool:
    if address is None:
        return False
    try:
        return urlsplit(address.get_secret_value()).password == _WELL_KNOWN_PASSWORD
    except ValueError:
        return False


async def standing_issues(settings: Settings, roles: frozenset[Role]) -> list[Issue]:
    """Return what can be said without asking a server: of settings, folders and the model."""
    return [
        *deployment_issues(deployment_of(settings)),
        *await asyncio.to_thread(_on_this_machine, settings, roles),
    ]


def _on_this_machine(settings: Settings, roles: frozenset[Role]) -> list[Issue]:
    found = [
        findings.FOLDER_WORLD_READABLE.warning(name)
        for name, folder in (("DATA_DIR", settings.data_dir), ("audio", settings.blob_dir))
        if _is_open_to_others(folder)
    ]
    hears = settings.stt_provider != "mock" and Stage.STT in stages_of(roles)
    if hears and not is_present(settings.whisper_model_size, settings.data_dir):
        found.append(findings.MODEL_MISSING.error())
    return found


def _is_open_to_others(folder: Path) -> bool:
    try:
        return bool(folder.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False


def database_check(database: Database, *, prod: bool) -> Check:
    """Return a check that PostgreSQL answers, has our schema, and keeps what it has committed."""

    async def look() -> Sequence[Issue]:
        missing = await missing_migrations(database)
        behind = [findings.SCHEMA_BEHIND.error(", ".join(missing))] if missing else []
        commits = await read_durability(database)
        return [
            *behind,
            *database_issues(
                fsync=commits.fsync,
                full_page_writes=commits.full_page_writes,
                synchronous_commit=commits.synchronous_commit,
                prod=prod,
            ),
        ]

    return look


def queue_check(wake: ValkeyWakeQueue) -> Check:
    """Return a check that Redis answers, and does not throw entries away."""

    async def look() -> Sequence[Issue]:
        await wake.ping()
        return queue_issues(await wake.eviction_policy())

    return look


def storage_check(probe: Callable[[], Awaitable[None]]) -> Check:
    """Return a check by a probe of the store; a share that is away is told from a fault."""

    async def look() -> Sequence[Issue]:
        try:
            await probe()
        except StorageError as error:
            if error.details.get("cause") == "not_mounted":
                return [findings.STORAGE_NOT_MOUNTED.error()]
            raise
        return []

    return look


def _progress_check(work: WorkStore) -> Check:
    watch = ProgressWatch()

    async def look() -> Sequence[Issue]:
        return watch.look(await work.depths(), time.monotonic())

    return look


def add_checks(service: Service, parts: Backends, work: WorkStore) -> None:
    """Let the process ask what it needs whether it works."""
    checks, prod = service.checks, service.settings.is_prod
    checks.add(database_check(parts.database, prod=prod), findings.DATABASE_FAILED)
    checks.add(_progress_check(work), findings.DATABASE_FAILED)
    checks.add(queue_check(parts.wake), findings.REDIS_FAILED)
    checks.add(storage_check(parts.blobs.check), findings.STORAGE_FAILED)


async def judge_settings(service: Service) -> None:
    """Note what is wrong before anything is opened. Raises `StartupError` where that forbids it."""
    service.standing_issues = tuple(await standing_issues(service.settings, service.roles))
    _refuse(service.settings, service.standing_issues)


async def judge_start(service: Service, *probes: Check) -> None:
    """Ask everything once before anybody is served. Raises `StartupError` where that forbids it.

    `probes` are asked now and never again.
    """
    issues = [*service.standing_issues, *await service.checks.issues(_START_PATIENCE_S)]
    for probe in probes:
        issues += await probe()
    _refuse(service.settings, issues)
    if errors_in(issues):
        _report(issues)
    else:
        # Without an error all of them are warnings.
        log.info("startup_readiness_ok", warnings=[issue.code for issue in issues])


def _refuse(settings: Settings, issues: Sequence[Issue]) -> None:
    errors = errors_in(issues)
    if errors and settings.is_prod and settings.readiness_fail_fast_in_prod:
        _report(issues)
        raise StartupError(one_line(errors))


def _report(issues: Iterable[Issue]) -> None:
    told = [
        {"severity": issue.severity.value, "code": issue.code, "message": issue.message}
        for issue in issues
    ]
    log.error("startup_readiness_failed", issues=told)
