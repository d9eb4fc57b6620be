"""Which ways of letting people in can be configured, and what rules come of it."""

from __future__ import annotations

import pytest

from interview_agent.compose.access import access_policy, check_access
from interview_agent.domain.errors import StartupError
from interview_agent.domain.policy import Need, Policy, ScopeRules
from interview_agent.settings import SettingsError, read_settings

SECRET = "a-secret-of-at-least-32-bytes-!!"
ISSUER = "https://id.example/realms/agent"
DEV = {"AUTH_MODE": "jwt", "OIDC_ISSUER_URL": "http://127.0.0.1:8080/realms/agent"}
PROD = {
    "AUTH_MODE": "jwt",
    "APP_ENV": "Prod-eu",
    "OIDC_ISSUER_URL": ISSUER,
    "OIDC_AUDIENCE": "interview-agent",
}
BY_SECRET = {"AUTH_MODE": "jwt", "OIDC_ALGORITHMS": "HS256", "JWT_SHARED_SECRET": SECRET}


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"AUTH_MODE": "none"},
        {"APP_ENV": "prod"},
        DEV,
        {"AUTH_MODE": "jwt", "OIDC_JWKS_URL": "http://127.0.0.1:8080/keys"},
        BY_SECRET,
        PROD,
        {**PROD, "OIDC_JWKS_URL": "https://keys.example/keys"},
        {**PROD, "OIDC_ALGORITHMS": "ES256,RS256"},
        # Where tokens are not asked for, what is said of them does no harm.
        {"APP_ENV": "prod", "JWT_SHARED_SECRET": SECRET},
    ],
)
def test_it_can_be_started(variables: dict[str, str]) -> None:
    check_access(read_settings(variables))


@pytest.mark.parametrize(
    ("variables", "code"),
    [
        ({"AUTH_MODE": "none", "APP_ENV": "prod"}, "auth_none_in_prod"),
        ({"AUTH_MODE": "none", "APP_ENV": "PROD "}, "auth_none_in_prod"),
        ({"AUTH_MODE": "jwt"}, "oidc_not_configured"),
        ({**DEV, "OIDC_ALGORITHMS": "HS256"}, "JWT_SHARED_SECRET goes with"),
        ({**DEV, "JWT_SHARED_SECRET": SECRET}, "JWT_SHARED_SECRET goes with"),
        ({**PROD, "JWT_SHARED_SECRET": SECRET}, "jwt_shared_secret_set"),
        ({**BY_SECRET, "APP_ENV": "prod"}, "jwt_shared_secret_set"),
        ({**PROD, "OIDC_AUDIENCE": ""}, "oidc_audience_empty"),
        (
            {**PROD, "OIDC_ISSUER_URL": "", "OIDC_JWKS_URL": "https://keys.example/keys"},
            "oidc_issuer_empty",
        ),
        ({**PROD, "OIDC_ISSUER_URL": "http://id.example"}, "oidc_not_https"),
        ({**PROD, "OIDC_JWKS_URL": "http://id.example/keys"}, "oidc_not_https"),
    ],
)
def test_it_cannot_be_started_and_says_why(variables: dict[str, str], code: str) -> None:
    with pytest.raises(StartupError) as refused:
        check_access(read_settings(variables))
    assert code in str(refused.value)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OIDC_ALGORITHMS", "RS256,HS256"),
        ("OIDC_ALGORITHMS", "HS256,ES256"),
        ("OIDC_ALGORITHMS", "none"),
        ("OIDC_ALGORITHMS", "RS256,rs256"),
        ("OIDC_ALGORITHMS", "PS256"),
        ("OIDC_ALGORITHMS", ","),
        ("OIDC_ISSUER_URL", "id.example"),
        ("OIDC_ISSUER_URL", "https://user:secret@id.example"),
        ("OIDC_ISSUER_URL", "https://id.example/?realm=agent"),
        ("OIDC_JWKS_URL", "file:///etc/keys"),
        ("OIDC_JWKS_URL", "https://id.example/keys#all"),
        ("JWT_CLOCK_SKEW_SEC", "-1"),
        ("JWT_MAX_LIFETIME_SEC", "0"),
        ("OIDC_DISCOVERY_TIMEOUT_SEC", "0"),
    ],
)
def test_a_value_that_no_token_could_be_judged_by_is_no_setting(name: str, value: str) -> None:
    """S18: algorithms of secrets and of public keys never mix."""
    with pytest.raises(SettingsError, match=f"^{name}: ") as refused:
        read_settings({name: value})
    assert "user:secret" not in str(refused.value)


def test_no_clock_skew_is_none() -> None:
    assert read_settings({"JWT_CLOCK_SKEW_SEC": "0"}).jwt_clock_skew_sec == 0


def test_the_shared_secret_is_not_printed() -> None:
    settings = read_settings(BY_SECRET)
    assert SECRET not in repr(settings) + settings.model_dump_json()


def test_the_scopes_of_the_reference_are_the_default() -> None:
    assert access_policy(read_settings({})) == Policy(
        ScopeRules(
            admin_read=("agent.admin.read", "agent.admin"),
            admin_write=("agent.admin.write", "agent.admin"),
            socket_internal=("agent.ws.internal", "agent.admin"),
            ingest_internal=("agent.ingest", "agent.admin"),
        )
    )


def test_scopes_and_tenancy_are_as_configured() -> None:
    policy = access_policy(
        read_settings(
            {
                "JWT_SERVICE_REQUIRED_SCOPES_ADMIN_READ": "ops.read",
                "JWT_SERVICE_REQUIRED_SCOPES_ADMIN_WRITE": ",",
                "TENANT_ENFORCEMENT_ENABLED": "true",
            }
        )
    )
    assert policy.scopes.wanted(Need.ADMIN_READ) == ("ops.read",)
    assert policy.scopes.wanted(Need.ADMIN_WRITE) == ()
    assert policy.tenant_required
