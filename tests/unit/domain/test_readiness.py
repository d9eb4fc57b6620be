"""What a deployment is told about itself, fact by fact."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from interview_agent.domain.readiness import (
    Deployment,
    Severity,
    as_table,
    database_issues,
    deployment_issues,
    errors_in,
    one_line,
    queue_issues,
)
from interview_agent.domain.readiness.findings import FINDINGS

GOOD = Deployment(
    prod=True,
    has_postgres_dsn=True,
    has_redis_url=True,
    auth_mode="jwt",
    service_keys_with_jwt=False,
    issuer_url="https://id.example.com",
    audience="interview-agent",
    storage_mode="shared_fs",
    has_audio_dir=True,
    connector="none",
)
"""A production that nothing is wrong with."""

KEYS: dict[str, Any] = {
    "auth_mode": "api_key",
    "require_jwt_in_prod": False,
    "user_keys": 2,
    "service_keys": 1,
}
GATEWAY: dict[str, Any] = {
    "connector": "sberjazz",
    "connector_base": "https://gateway.example.com",
    "has_connector_token": True,
}

IN_PROD: list[tuple[dict[str, Any], set[str], set[str]]] = [
    ({"has_postgres_dsn": False}, {"postgres_dsn_empty"}, set()),
    ({"has_redis_url": False}, {"redis_url_empty"}, set()),
    ({"has_well_known_password": True}, {"well_known_password"}, set()),
    ({"auth_mode": "none"}, {"auth_none_in_prod", "auth_mode_must_be_jwt_in_prod"}, set()),
    ({"auth_mode": "none", "require_jwt_in_prod": False}, {"auth_none_in_prod"}, set()),
    (KEYS, set(), set()),
    (KEYS | {"require_jwt_in_prod": True}, {"auth_mode_must_be_jwt_in_prod"}, set()),
    (KEYS | {"user_keys": 0}, {"auth_api_keys_empty"}, set()),
    (KEYS | {"service_keys": 0}, set(), {"service_api_keys_empty"}),
    ({"service_keys_with_jwt": True}, set(), {"jwt_service_key_fallback_enabled"}),
    ({"issuer_url": ""}, {"oidc_not_configured"}, set()),
    ({"issuer_url": " \t"}, {"oidc_not_configured"}, set()),
    (
        {"issuer_url": "", "has_shared_secret": True, "algorithms": ("HS256",)},
        {"oidc_not_configured", "jwt_shared_secret_set"},
        set(),
    ),
    (
        {"has_shared_secret": True},
        {"jwt_shared_secret_set", "jwt_secret_without_algorithm"},
        set(),
    ),
    (
        {"algorithms": ("HS256",)},
        {"jwt_shared_secret_set", "jwt_secret_without_algorithm"},
        set(),
    ),
    ({"issuer_url": "", "jwks_url": "https://id/keys"}, {"oidc_issuer_empty"}, set()),
    ({"audience": ""}, {"oidc_audience_empty"}, set()),
    ({"audience": "  "}, {"oidc_audience_empty"}, set()),
    ({"issuer_url": "http://id.example.com"}, {"oidc_not_https"}, set()),
    ({"issuer_url": "id.example.com"}, {"oidc_not_https"}, set()),
    ({"jwks_url": "HTTP://id/keys"}, {"oidc_not_https"}, set()),
    ({"issuer_url": " HTTPS://id.example.com "}, set(), set()),
    ({"algorithms": ("RS256", "ES256")}, set(), set()),
    ({"tenants_enforced": True}, set(), set()),
    ({"tenants_enforced": True, "tenant_claim": " "}, {"tenant_claim_key_missing"}, set()),
    (KEYS | {"tenants_enforced": True}, set(), set()),
    (
        KEYS | {"tenants_enforced": True, "user_keys_without_tenant": 1},
        {"tenant_requires_jwt"},
        set(),
    ),
    ({"storage_mode": "local_fs"}, {"storage_not_shared_fs"}, set()),
    ({"storage_mode": "local_fs", "require_shared_in_prod": False}, set(), set()),
    ({"has_audio_dir": False}, {"storage_shared_dir_empty"}, set()),
    ({"cors_origins": ("https://a.example.com", "*")}, {"cors_wildcard_in_prod"}, set()),
    ({"cors_origins": ("https://a.example.com",)}, set(), set()),
    ({"stt_provider": "mock"}, set(), {"stt_mock_in_prod"}),
    (
        {"connector": "sberjazz_mock"},
        set(),
        {"mock_connector_in_prod"},
    ),
    (GATEWAY, set(), set()),
    (GATEWAY | {"connector_base": " "}, {"sberjazz_api_base_empty"}, set()),
    (
        GATEWAY | {"connector_base": "http://gateway"},
        {"sberjazz_api_base_not_https"},
        set(),
    ),
    (
        GATEWAY | {"has_connector_token": False},
        {"sberjazz_api_token_empty"},
        set(),
    ),
    (GATEWAY | {"connector_base": "http://gateway", "connector_needs_https": False}, set(), set()),
    (
        GATEWAY | {"connector_call_s": 10.0, "connector_operation_s": 8.0},
        {"sberjazz_op_lock_too_short"},
        set(),
    ),
    (GATEWAY | KEYS, {"sberjazz_requires_jwt_auth_mode"}, set()),
]

ELSEWHERE: list[tuple[dict[str, Any], set[str], set[str]]] = [
    ({}, set(), {"auth_api_keys_empty", "service_api_keys_empty"}),
    ({"auth_mode": "none"}, set(), set()),
    ({"auth_mode": "none", "tenants_enforced": True}, {"tenant_requires_jwt"}, set()),
    ({"auth_mode": "jwt"}, {"oidc_not_configured"}, {"service_api_keys_empty"}),
    (
        {
            "auth_mode": "jwt",
            "has_shared_secret": True,
            "algorithms": ("HS256",),
            "service_keys": 1,
        },
        set(),
        set(),
    ),
    (
        {"auth_mode": "jwt", "has_shared_secret": True, "service_keys": 1},
        {"jwt_secret_without_algorithm"},
        set(),
    ),
    (
        {"auth_mode": "jwt", "issuer_url": "http://localhost", "service_keys": 1},
        set(),
        set(),
    ),
    (
        KEYS | {"connector": "sberjazz"},
        {"sberjazz_api_base_empty"},
        {"sberjazz_api_token_empty"},
    ),
    (
        KEYS | {"storage_mode": "shared_fs"},
        set(),
        {"storage_shared_dir_empty"},
    ),
    (KEYS | {"cors_origins": ("*",), "stt_provider": "mock"}, set(), set()),
]


def codes(facts: Deployment, severity: Severity) -> set[str]:
    return {issue.code for issue in deployment_issues(facts) if issue.severity is severity}


def test_nothing_is_wrong_with_a_good_production() -> None:
    assert deployment_issues(GOOD) == []


@pytest.mark.parametrize(("changes", "errors", "warnings"), IN_PROD)
def test_in_production(changes: dict[str, Any], errors: set[str], warnings: set[str]) -> None:
    facts = replace(GOOD, **changes)
    assert codes(facts, Severity.ERROR) == errors
    assert codes(facts, Severity.WARNING) == warnings


@pytest.mark.parametrize(("changes", "errors", "warnings"), ELSEWHERE)
def test_elsewhere(changes: dict[str, Any], errors: set[str], warnings: set[str]) -> None:
    facts = replace(Deployment(), **changes)
    assert codes(facts, Severity.ERROR) == errors
    assert codes(facts, Severity.WARNING) == warnings


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ({}, ()),
        ({"fsync": False}, ("database_fsync_off",)),
        ({"full_page_writes": False}, ("database_fsync_off",)),
        ({"synchronous_commit": False}, ("database_synchronous_commit_off",)),
    ],
)
def test_a_database_that_forgets_is_an_error_in_production_alone(
    settings: dict[str, bool], found: tuple[str, ...]
) -> None:
    asked = {"fsync": True, "full_page_writes": True, "synchronous_commit": True} | settings
    assert errors_in(database_issues(**asked, prod=True)) == found
    elsewhere = database_issues(**asked, prod=False)
    assert tuple(issue.code for issue in elsewhere) == found
    assert errors_in(elsewhere) == ()


@pytest.mark.parametrize(
    ("policy", "found"), [("noeviction", []), ("", []), ("allkeys-lru", ["redis_evicts"])]
)
def test_a_queue_that_throws_away_is_worth_a_warning(policy: str, found: list[str]) -> None:
    issues = queue_issues(policy)
    assert [issue.code for issue in issues] == found
    assert errors_in(issues) == ()


def test_every_finding_has_a_code_of_its_own_and_says_what_to_do() -> None:
    known = [finding.code for finding in FINDINGS]
    assert len(known) == len(set(known)) >= 40
    for finding in FINDINGS:
        assert finding.message.endswith("."), finding.code
        assert finding.mend.endswith("."), finding.code


def test_a_process_that_does_not_start_names_each_error_once() -> None:
    issues = [each.error() for each in (FINDINGS[0], FINDINGS[1], FINDINGS[0])]
    issues.append(FINDINGS[2].warning())
    line = one_line(errors_in(issues))
    assert line == "startup readiness failed: postgres_dsn_empty, redis_url_empty"


def test_the_table_has_errors_first_with_what_mends_them() -> None:
    warning, error = FINDINGS[0].warning("here"), FINDINGS[1].error()
    lines = as_table([warning, error]).splitlines()
    assert [line.split()[:2] for line in lines[0:4:2]] == [
        ["ERROR", error.code],
        ["WARNING", warning.code],
    ]
    assert [line.strip() for line in lines[1:4:2]] == [error.mend, warning.mend]
    assert lines[2].endswith("(here)")
    assert lines[4] == "not ready; errors: 1, warnings: 1"
    assert as_table([]) == "ready; errors: 0, warnings: 0"
