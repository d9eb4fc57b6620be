"""Which findings follow from which facts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interview_agent.domain.readiness import findings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from interview_agent.domain.readiness.deployment import Deployment
    from interview_agent.domain.readiness.issue import Issue

_HARMLESS_POLICY = "noeviction"


def deployment_issues(facts: Deployment) -> list[Issue]:
    """Return all that is wrong with what was set."""
    return [
        *_servers(facts),
        *_access(facts),
        *_tokens(facts),
        *_tenants(facts),
        *_storage(facts),
        *_surface(facts),
        *_connector(facts),
    ]


def database_issues(
    *, fsync: bool, full_page_writes: bool, synchronous_commit: bool, prod: bool
) -> list[Issue]:
    """Return what keeps a commit from being durable."""
    found = []
    if not (fsync and full_page_writes):
        found.append(findings.DATABASE_FSYNC_OFF.found(prod=prod))
    if not synchronous_commit:
        found.append(findings.DATABASE_SYNCHRONOUS_COMMIT_OFF.found(prod=prod))
    return found


def queue_issues(eviction_policy: str) -> list[Issue]:
    """Return what follows from what Redis does when its memory is full."""
    harmless = eviction_policy in {"", _HARMLESS_POLICY}
    return [] if harmless else [findings.REDIS_EVICTS.warning(eviction_policy)]


def _blank(text: str) -> bool:
    return not text.strip()


def _open_to_readers(url: str) -> bool:
    """Say whether an address is set and not one of TLS."""
    return not _blank(url) and not url.strip().lower().startswith("https://")


def _servers(facts: Deployment) -> Iterator[Issue]:
    if facts.prod and not facts.has_postgres_dsn:
        yield findings.POSTGRES_DSN_EMPTY.error()
    if facts.prod and not facts.has_redis_url:
        yield findings.REDIS_URL_EMPTY.error()
    if facts.prod and facts.has_well_known_password:
        yield findings.WELL_KNOWN_PASSWORD.error()


def _access(facts: Deployment) -> Iterator[Issue]:
    mode = facts.auth_mode
    if facts.prod and mode == "none":
        yield findings.AUTH_NONE_IN_PROD.error()
    if facts.prod and facts.require_jwt_in_prod and mode != "jwt":
        yield findings.AUTH_MODE_MUST_BE_JWT_IN_PROD.error()
    if mode == "api_key" and facts.user_keys == 0:
        yield findings.AUTH_API_KEYS_EMPTY.found(prod=facts.prod)
    falls_back = mode == "jwt" and facts.service_keys_with_jwt
    if (mode == "api_key" or (falls_back and not facts.prod)) and facts.service_keys == 0:
        yield findings.SERVICE_API_KEYS_EMPTY.warning()
    if falls_back and facts.prod:
        yield findings.JWT_SERVICE_KEY_FALLBACK_ENABLED.warning()


def _tokens(facts: Deployment) -> Iterator[Issue]:
    if facts.auth_mode != "jwt":
        return
    has_keys = not (_blank(facts.issuer_url) and _blank(facts.jwks_url))
    if not has_keys and (facts.prod or not facts.has_shared_secret):
        yield findings.OIDC_NOT_CONFIGURED.error()
    by_secret = any(name.startswith("HS") for name in facts.algorithms)
    if facts.has_shared_secret != by_secret:
        yield findings.JWT_SECRET_WITHOUT_ALGORITHM.error()
    if not facts.prod:
        return
    if facts.has_shared_secret or by_secret:
        yield findings.JWT_SHARED_SECRET_SET.error()
    if has_keys and _blank(facts.issuer_url):
        yield findings.OIDC_ISSUER_EMPTY.error()
    if _blank(facts.audience):
        yield findings.OIDC_AUDIENCE_EMPTY.error()
    if _open_to_readers(facts.issuer_url) or _open_to_readers(facts.jwks_url):
        yield findings.OIDC_NOT_HTTPS.error()


def _tenants(facts: Deployment) -> Iterator[Issue]:
    if not facts.tenants_enforced:
        return
    # Keys may carry a tenant, so that only those without one contradict the wish.
    keys_suffice = facts.user_keys > 0 and facts.user_keys_without_tenant == 0
    if facts.auth_mode == "none" or (facts.auth_mode == "api_key" and not keys_suffice):
        yield findings.TENANT_REQUIRES_JWT.error()
    if _blank(facts.tenant_claim):
        yield findings.TENANT_CLAIM_KEY_MISSING.error()


def _storage(facts: Deployment) -> Iterator[Issue]:
    shared = facts.storage_mode == "shared_fs"
    if facts.prod and facts.require_shared_in_prod and not shared:
        yield findings.STORAGE_NOT_SHARED_FS.error()
    if shared and not facts.has_audio_dir:
        yield findings.STORAGE_SHARED_DIR_EMPTY.found(prod=facts.prod)


def _surface(facts: Deployment) -> Iterator[Issue]:
    if not facts.prod:
        return
    if "*" in facts.cors_origins:
        yield findings.CORS_WILDCARD_IN_PROD.error()
    if facts.stt_provider == "mock":
        yield findings.STT_MOCK_IN_PROD.warning()


def _connector(facts: Deployment) -> Iterator[Issue]:
    if facts.connector == "sberjazz_mock" and facts.prod:
        yield findings.MOCK_CONNECTOR_IN_PROD.warning()
    if facts.connector != "sberjazz":
        return
    if _blank(facts.connector_base):
        yield findings.SBERJAZZ_API_BASE_EMPTY.error()
    if not facts.has_connector_token:
        yield findings.SBERJAZZ_API_TOKEN_EMPTY.found(prod=facts.prod)
    if facts.prod and facts.connector_needs_https and _open_to_readers(facts.connector_base):
        yield findings.SBERJAZZ_API_BASE_NOT_HTTPS.error()
    if facts.prod and facts.auth_mode != "jwt":
        yield findings.SBERJAZZ_REQUIRES_JWT_AUTH_MODE.error()
    if facts.connector_call_s > facts.connector_operation_s:
        yield findings.SBERJAZZ_OP_LOCK_TOO_SHORT.error()
