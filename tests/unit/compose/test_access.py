"""Which ways of letting people in can be configured, and what rules come of it."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING

import pytest
from aiohttp.test_utils import make_mocked_request

from interview_agent.compose.access import access_policy, check_access, open_authenticator
from interview_agent.compose.readiness import deployment_of
from interview_agent.domain.errors import StartupError, Unauthorized
from interview_agent.domain.policy import Need, Policy, ScopeRules
from interview_agent.domain.readiness import deployment_issues, errors_in
from interview_agent.domain.roles import Role
from interview_agent.metrics import Metrics
from interview_agent.runtime.service import Service
from interview_agent.settings import SettingsError, read_settings
from interview_agent.web.auth import ApiKeys

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from interview_agent.web.auth import Authenticator

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
        ({"AUTH_MODE": "jwt"}, "oidc_not_configured"),
        ({**DEV, "OIDC_ALGORITHMS": "HS256"}, "jwt_secret_without_algorithm"),
        ({**DEV, "JWT_SHARED_SECRET": SECRET}, "jwt_secret_without_algorithm"),
    ],
)
def test_it_cannot_be_started_and_says_why(variables: dict[str, str], code: str) -> None:
    with pytest.raises(StartupError) as refused:
        check_access(read_settings(variables))
    assert code in str(refused.value)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    ("variables", "code"),
    [
        ({"AUTH_MODE": "none", "APP_ENV": "prod"}, "auth_none_in_prod"),
        ({"AUTH_MODE": "none", "APP_ENV": "PROD "}, "auth_none_in_prod"),
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
async def test_a_production_with_an_open_door_is_not_ready_and_lets_nobody_in(
    variables: dict[str, str], code: str
) -> None:
    variables = {**variables, "API_KEYS": "alice", "SERVICE_API_KEYS": "machine"}
    assert code in errors_in(deployment_issues(deployment_of(read_settings(variables))))
    async with opened(variables) as (door, _):
        for headers in ({}, {"X-API-Key": "alice"}, {"X-API-Key": "machine"}):
            with pytest.raises(Unauthorized):
                await door.identify(make_mocked_request("GET", "/", headers=headers))
        assert isinstance(door, ApiKeys)


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


NOWHERE = {"AUTH_MODE": "jwt", "OIDC_ISSUER_URL": "http://127.0.0.1:1"}


@asynccontextmanager
async def opened(variables: dict[str, str]) -> AsyncIterator[tuple[Authenticator, Service]]:
    """Make an authenticator, its files of keys read again all the time."""
    service = Service(read_settings(variables), frozenset({Role.API}), Metrics("api"))
    async with AsyncExitStack() as stack:
        door = await open_authenticator(service, stack, key_files_every_s=0.01)
        loops = [asyncio.create_task(loop()) for loop in service.loops.values()]
        try:
            yield door, service
        finally:
            for loop in loops:
                loop.cancel()
            await asyncio.gather(*loops, return_exceptions=True)


async def admits(door: Authenticator, key: str) -> bool:
    with suppress(Unauthorized):
        await door.identify(make_mocked_request("GET", "/", headers={"X-API-Key": key}))
        return True
    return False


async def test_a_key_that_is_struck_from_its_file_is_refused_without_a_restart(
    tmp_path: Path,
) -> None:
    """S38."""
    users, services = tmp_path / "users", tmp_path / "services"
    users.write_text("alice\nbob\n")
    services.write_text("machine\n")
    variables = {"API_KEYS_FILE": str(users), "SERVICE_API_KEYS_FILE": str(services)}
    async with opened(variables) as (door, _), asyncio.timeout(10):
        assert await admits(door, "alice")
        users.write_text("bob\n")
        while await admits(door, "alice"):
            await asyncio.sleep(0.01)
        services.write_text("other\n")
        while await admits(door, "machine"):
            await asyncio.sleep(0.01)
        assert await admits(door, "bob")
        assert await admits(door, "other")


async def test_keys_that_came_from_no_file_are_not_looked_for() -> None:
    async with opened({"API_KEYS": "alice"}) as (door, service):
        assert await admits(door, "alice")
        assert "key_files" not in service.loops


@pytest.mark.parametrize(
    ("changes", "admitted"),
    [
        ({}, True),
        ({"ALLOW_SERVICE_API_KEY_IN_JWT_MODE": "false"}, False),
        (
            {
                "APP_ENV": "prod",
                "OIDC_ISSUER_URL": "https://127.0.0.1:1",
                "OIDC_AUDIENCE": "interview-agent",
            },
            False,
        ),
    ],
)
async def test_beside_tokens_service_keys_are_taken_outside_production_if_that_is_allowed(
    changes: dict[str, str], admitted: bool
) -> None:
    variables = {**NOWHERE, "SERVICE_API_KEYS": "machine", "API_KEYS": "alice", **changes}
    async with opened(variables) as (door, _):
        assert await admits(door, "machine") is admitted
        assert not await admits(door, "alice")


async def test_beside_tokens_keys_of_users_are_never_read_again_either(tmp_path: Path) -> None:
    users, services = tmp_path / "users", tmp_path / "services"
    users.write_text("alice\n")
    services.write_text("machine\n")
    variables = {"API_KEYS_FILE": str(users), "SERVICE_API_KEYS_FILE": str(services)}
    async with opened({**NOWHERE, **variables}) as (door, _), asyncio.timeout(10):
        services.write_text("other\n")
        while not await admits(door, "other"):
            await asyncio.sleep(0.01)
        assert not await admits(door, "machine")
        assert not await admits(door, "alice")


async def test_without_keys_of_the_provider_a_process_is_not_ready() -> None:
    """S32."""
    async with opened(NOWHERE) as (_, service):
        assert errors_in(await service.live_issues()) == ("signing_keys_failed",)
        assert 'agent_signing_key_fetches_total{result="failed"} 1' in service.metrics.render()
