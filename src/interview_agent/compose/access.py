"""Who may come in: the authenticator of `AUTH_MODE`, and the rules it is judged by."""

from __future__ import annotations

import os
import secrets
from functools import partial
from typing import TYPE_CHECKING

from interview_agent.adapters.oidc import KeyCache, OidcProvider, SharedSecret, SignedTokens
from interview_agent.compose.readiness import deployment_of
from interview_agent.domain.claims import BearerRules, TokenTerms
from interview_agent.domain.errors import StartupError
from interview_agent.domain.policy import Policy, ScopeRules
from interview_agent.domain.readiness import deployment_issues, errors_in, findings
from interview_agent.metrics import KEY_FETCHES
from interview_agent.runtime.key_files import follow_key_files
from interview_agent.settings import reread_secrets
from interview_agent.web.auth import ApiKeys, Authenticator, OpenDoor
from interview_agent.web.bearer import BearerTokens

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AsyncExitStack

    from pydantic import SecretStr

    from interview_agent.domain.readiness import Issue
    from interview_agent.runtime.key_files import Keys
    from interview_agent.runtime.service import Service
    from interview_agent.settings import Settings

KEY_FILES_EVERY_S = 20.0
"""How often the files of keys are read: a key that was struck is good for no longer than this."""


def access_policy(settings: Settings) -> Policy:
    """Return the rules of this deployment."""
    return Policy(
        scopes=ScopeRules(
            admin_read=settings.jwt_service_required_scopes_admin_read,
            admin_write=settings.jwt_service_required_scopes_admin_write,
            socket_internal=settings.jwt_service_required_scopes_ws_internal,
            ingest_internal=settings.jwt_service_required_scopes_ingest_internal,
        ),
        tenant_required=settings.tenant_enforcement_enabled,
        tenant_context_key=settings.tenant_context_key,
    )


def check_access(settings: Settings) -> None:
    """Raise `StartupError` where `AUTH_MODE` cannot work at all."""
    for issue in deployment_issues(deployment_of(settings)):
        if any(issue.code == finding.code for finding in findings.UNUSABLE_TOKENS):
            message = f"{issue.message} {issue.mend} ({issue.code})"
            raise StartupError(message)


def _stays_shut(settings: Settings) -> bool:
    codes = {finding.code for finding in findings.OPEN_DOORS}
    return not codes.isdisjoint(errors_in(deployment_issues(deployment_of(settings))))


async def open_authenticator(
    service: Service, stack: AsyncExitStack, *, key_files_every_s: float = KEY_FILES_EVERY_S
) -> Authenticator:
    """Make the authenticator, with its keys where they can be had. Raises `StartupError`."""
    settings = service.settings
    if _stays_shut(settings):
        return ApiKeys(())
    if settings.auth_mode == "none":
        return OpenDoor()
    if settings.auth_mode == "api_key":
        users = _user_keys(settings)
        services = _plain(settings.service_api_keys)
        if not users and not services:
            message = "AUTH_MODE=api_key needs API_KEYS or SERVICE_API_KEYS (auth_api_keys_empty)"
            raise StartupError(message)
        keys = ApiKeys(users, services)
        _follow_files(service, keys, (users, services), every_s=key_files_every_s)
        return keys
    keys_too = settings.allow_service_api_key_in_jwt_mode and not settings.is_prod
    services = _plain(settings.service_api_keys) if keys_too else ()
    service_keys = ApiKeys((), services) if services else None
    if service_keys is not None:
        _follow_files(service, service_keys, (None, services), every_s=key_files_every_s)
    return _bearer_tokens(settings, await _key_source(service, stack), service_keys)


def _user_keys(settings: Settings) -> Keys:
    users = _plain(settings.api_keys)
    if users or settings.is_prod or settings.file_of("API_KEYS") is not None:
        return users
    return (_own_api_key(settings),)


def _plain(keys: tuple[SecretStr, ...]) -> Keys:
    return tuple(key.get_secret_value() for key in keys)


def _own_api_key(settings: Settings) -> str:
    """Return the key kept in DATA_DIR, made and announced at the first start."""
    path = settings.data_dir / "api_key"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        return path.read_text(encoding="utf-8").strip()
    key = secrets.token_urlsafe(24)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(key + "\n")
    print(f"API key (kept in {path}): {key}", flush=True)  # noqa: T201 - printed once, on purpose
    return key


def _follow_files(
    service: Service, keys: ApiKeys, known: tuple[Keys | None, Keys], *, every_s: float
) -> None:
    """Have the keys that came from files read again and again; None: no keys of users are taken."""
    users, services = known
    user_file = service.settings.file_of("API_KEYS") if users is not None else None
    service_file = service.settings.file_of("SERVICE_API_KEYS")
    if user_file is None and service_file is None:
        return

    def read() -> tuple[Keys, Keys]:
        return (
            reread_secrets("API_KEYS", user_file) if user_file else users or (),
            reread_secrets("SERVICE_API_KEYS", service_file) if service_file else services,
        )

    service.loops["key_files"] = partial(
        follow_key_files, read, keys.replace, known=(users or (), services), every_s=every_s
    )


def _bearer_tokens(
    settings: Settings, source: KeyCache | SharedSecret, service_keys: ApiKeys | None
) -> BearerTokens:
    return BearerTokens(
        SignedTokens(
            source,
            algorithms=settings.oidc_algorithms,
            typ=settings.oidc_token_typ,
        ),
        TokenTerms(
            issuer=settings.oidc_issuer_url,
            audience=settings.oidc_audience,
            leeway_s=settings.jwt_clock_skew_sec,
            max_lifetime_s=settings.jwt_max_lifetime_sec,
        ),
        BearerRules(
            service_claim=settings.jwt_service_claim_key,
            service_values=frozenset(settings.jwt_service_claim_values),
            role_claim=settings.jwt_service_role_claim,
            service_roles=frozenset(settings.jwt_service_allowed_roles),
            scope_claim=settings.jwt_service_permission_claim,
            trusted_clients=frozenset(settings.jwt_service_trusted_clients),
            tenant_claim=settings.tenant_claim_key,
        ),
        service_keys=service_keys,
    )


async def _key_source(service: Service, stack: AsyncExitStack) -> KeyCache | SharedSecret:
    settings = service.settings
    if settings.jwt_shared_secret is not None:
        secret = settings.jwt_shared_secret.get_secret_value().encode()
        return SharedSecret(secret, settings.oidc_algorithms)
    provider = OidcProvider(
        issuer=settings.oidc_issuer_url,
        jwks_url=settings.oidc_jwks_url,
        algorithms=settings.oidc_algorithms,
        timeout_s=settings.oidc_discovery_timeout_sec,
        https_only=settings.is_prod,
    )
    metrics = service.metrics
    metrics.start_at_zero(KEY_FETCHES, ({"result": each} for each in ("ok", "failed")))
    keys = KeyCache(
        provider.fetch,
        on_fetch=lambda fine: metrics.count(KEY_FETCHES, result="ok" if fine else "failed"),
    )
    stack.push_async_callback(keys.aclose)

    async def look() -> Sequence[Issue]:
        return [] if keys.usable else [findings.SIGNING_KEYS_FAILED.error()]

    service.checks.add(look, findings.SIGNING_KEYS_FAILED)
    service.loops["signing_keys"] = keys.run
    # A provider that is away makes this process unready, and its keys are asked for again.
    await keys.refresh()
    return keys
