"""Which facts follow from variables, however carelessly these are written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from interview_agent.compose.readiness import deployment_of, standing_issues
from interview_agent.domain.readiness import deployment_issues, errors_in
from interview_agent.domain.roles import parse_roles
from interview_agent.settings import read_settings

if TYPE_CHECKING:
    from pathlib import Path

SAFE = {
    "APP_ENV": "prod",
    "POSTGRES_DSN": "postgresql://u:p@h/d",
    "REDIS_URL": "redis://h",
    "AUTH_REQUIRE_JWT_IN_PROD": "false",
    "API_KEYS": "one,acme:two",
    "SERVICE_API_KEYS": "three",
    "STORAGE_MODE": "shared_fs",
    "STORAGE_SHARED_FS_DIR": "/audio",
    "MEETING_CONNECTOR_PROVIDER": "none",
}
BLANKS = [None, "", " ", "\t\n"]


def errors(environ: dict[str, str]) -> tuple[str, ...]:
    return errors_in(deployment_issues(deployment_of(read_settings(environ))))


def changed(name: str, value: str | None) -> dict[str, str]:
    environ = {key: each for key, each in SAFE.items() if key != name}
    return environ if value is None else environ | {name: value}


@pytest.mark.parametrize("name", ["prod", "Prod-eu", "PROD ", " production", "Dev", "LOCAL", "?"])
def test_a_safe_production_has_no_issue_whatever_it_is_called(name: str) -> None:
    assert deployment_issues(deployment_of(read_settings(SAFE | {"APP_ENV": name}))) == []


@pytest.mark.parametrize("name", ["Prod-eu", "PROD ", " production", "Dev", "LOCAL", "stage"])
def test_whatever_is_not_explicitly_relaxed_is_guarded(name: str) -> None:
    found = set(errors({"APP_ENV": name}))
    assert found == {
        "postgres_dsn_empty",
        "redis_url_empty",
        "auth_mode_must_be_jwt_in_prod",
        "auth_api_keys_empty",
        "storage_not_shared_fs",
    }


@pytest.mark.parametrize("name", [None, "", " ", "dev", " dev ", "local", "test"])
def test_development_is_not_kept_from_starting(name: str | None) -> None:
    assert errors({} if name is None else {"APP_ENV": name}) == ()


@pytest.mark.parametrize("blank", BLANKS)
@pytest.mark.parametrize(
    ("variable", "code"),
    [
        ("POSTGRES_DSN", "postgres_dsn_empty"),
        ("REDIS_URL", "redis_url_empty"),
        ("API_KEYS", "auth_api_keys_empty"),
        ("AUTH_REQUIRE_JWT_IN_PROD", "auth_mode_must_be_jwt_in_prod"),
        ("STORAGE_MODE", "storage_not_shared_fs"),
        ("STORAGE_SHARED_FS_DIR", "storage_shared_dir_empty"),
    ],
)
def test_a_guard_is_not_passed_with_a_blank(variable: str, code: str, blank: str | None) -> None:
    assert errors(changed(variable, blank)) == (code,)


def test_a_list_of_commas_holds_no_key() -> None:
    assert errors(SAFE | {"API_KEYS": " , ,"}) == ("auth_api_keys_empty",)


@pytest.mark.parametrize("blank", BLANKS)
def test_the_gateway_needs_an_address_and_a_token(blank: str | None) -> None:
    environ = SAFE | {"MEETING_CONNECTOR_PROVIDER": "sberjazz"}
    if blank is not None:
        environ |= {"SBERJAZZ_API_BASE": blank, "SBERJAZZ_API_TOKEN": blank}
    assert errors(environ) == (
        "sberjazz_api_base_empty",
        "sberjazz_api_token_empty",
        "sberjazz_requires_jwt_auth_mode",
    )


async def test_a_folder_that_everybody_may_read_and_a_model_that_is_not_there_are_found(
    tmp_path: Path,
) -> None:
    settings = read_settings(
        {"DATA_DIR": str(tmp_path), "WHISPER_MODEL_SIZE": "no-such-model", "API_KEYS": "k"}
    )

    async def found(role: str) -> list[str]:
        return [each.code for each in await standing_issues(settings, parse_roles(role))]

    tmp_path.chmod(0o755)
    assert "folder_world_readable" in await found("api")
    tmp_path.chmod(0o750)
    assert "folder_world_readable" not in await found("api")
    assert "model_missing" not in await found("api")
    assert "model_missing" in await found("stt")


@pytest.mark.parametrize(
    "change",
    [
        {"POSTGRES_DSN": "postgresql://interview:interview@postgres:5432/interview"},
        {"REDIS_URL": "redis://:interview@redis:6379/0"},
    ],
)
def test_the_password_of_a_first_try_is_refused_in_production_alone(change: dict[str, str]) -> None:
    assert errors(SAFE | change) == ("well_known_password",)
    assert errors(SAFE | change | {"APP_ENV": "dev"}) == ()
