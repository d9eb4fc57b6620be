"""docker-compose.yml is well-formed, complete, and speaks of things that exist."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
import yaml

from compose_file import COMPOSE_FILE, ROOT, interpolate, names_in, read_compose_file, start_order
from interview_agent.compose.readiness import deployment_of
from interview_agent.domain.readiness import deployment_issues, errors_in
from interview_agent.domain.roles import Role, parse_roles
from interview_agent.settings import Settings, read_settings

_DURATION = {"type": "string", "pattern": r"^\d+(ms|s|m)$"}
_TEXTS = {"type": "array", "items": {"type": "string"}}
_SIZE = {"type": "string", "pattern": r"^(\d+[mg]|\$\{\w+:-\d+[mg]\})$"}
_SERVICE: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["image", "restart"],
    "properties": {
        "image": {"type": "string", "pattern": r"^[a-z0-9][a-z0-9./_-]*(:[A-Za-z0-9._-]+)?$"},
        "build": {"type": "string"},
        "restart": {"enum": ["no", "always", "on-failure", "unless-stopped"]},
        "init": {"type": "boolean"},
        "user": {"type": "string", "pattern": r"^\d+:\d+$"},
        "pids_limit": {"type": "integer", "minimum": 1},
        "cap_drop": _TEXTS,
        "security_opt": _TEXTS,
        "stop_grace_period": _DURATION,
        "command": _TEXTS,
        "entrypoint": _TEXTS,
        "profiles": _TEXTS,
        "read_only": {"type": "boolean"},
        "tmpfs": _TEXTS,
        "mem_limit": _SIZE,
        "shm_size": _SIZE,
        "cpus": {
            "type": ["number", "string"],
            "exclusiveMinimum": 0,
            "pattern": r"^\$\{\w+:-[0-9.]+\}$",
        },
        "ports": {
            "type": "array",
            "items": {"type": "string", "pattern": r"^[0-9.]+:\d+:\d+$"},
            "uniqueItems": True,
        },
        "volumes": {
            "type": "array",
            "items": {
                "type": "string",
                "pattern": r"^([a-z][a-z0-9_-]*:/[^:]+|\./[^:]+:/[^:]+:ro)$",
            },
            "uniqueItems": True,
        },
        "environment": {
            "type": "object",
            "propertyNames": {"pattern": "^[A-Z][A-Z0-9_]*$"},
            "additionalProperties": {"type": "string"},
        },
        "depends_on": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "additionalProperties": False,
                "required": ["condition"],
                "properties": {
                    "condition": {
                        "enum": [
                            "service_started",
                            "service_healthy",
                            "service_completed_successfully",
                        ]
                    }
                },
            },
        },
        "healthcheck": {
            "type": "object",
            "additionalProperties": False,
            "required": ["test"],
            "properties": {
                "test": {
                    "type": "array",
                    "minItems": 2,
                    "prefixItems": [{"enum": ["CMD", "CMD-SHELL"]}],
                    "items": {"type": "string"},
                },
                "interval": _DURATION,
                "timeout": _DURATION,
                "start_period": _DURATION,
                "retries": {"type": "integer", "minimum": 1},
            },
        },
    },
}
SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "additionalProperties": False,
    "required": ["services"],
    "patternProperties": {"^x-": {}},
    "properties": {
        "name": {"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]*$"},
        "services": {
            "type": "object",
            "propertyNames": {"pattern": "^[a-zA-Z0-9._-]+$"},
            "additionalProperties": _SERVICE,
        },
        "volumes": {"type": "object", "additionalProperties": {"type": ["object", "null"]}},
    },
}
"""The part of the Compose Specification that our file uses; a key outside it fails."""

FOUR_LINES = {
    "APP_ENV": "dev",
    "AUTH_MODE": "api_key",
    "API_KEYS": "dev-user-key",
    "SERVICE_API_KEYS": "dev-service-key",
}
OBSERVERS = ("prometheus", "alertmanager", "grafana")
SECRETS = {"API_KEYS": "k", "POSTGRES_PASSWORD": "p4", "REDIS_PASSWORD": "r5"}


def _settings(service: dict[str, Any], variables: dict[str, str]) -> Settings:
    """Return what a service would find set, with these variables in `.env`."""
    return read_settings(
        {name: interpolate(value, variables) for name, value in service["environment"].items()}
    )


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """The whole file, with its merge keys resolved."""
    return read_compose_file()


@pytest.fixture(scope="module")
def ours(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The services that are built from this repository."""
    return {name: each for name, each in document["services"].items() if "build" in each}


def test_the_file_keeps_to_the_schema(document: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator(SCHEMA).validate(document)


def test_three_roles_and_two_servers_are_started(
    document: dict[str, Any], ours: dict[str, dict[str, Any]]
) -> None:
    assert set(ours) == {"api", "worker", "reconciliation"}
    others = {
        name: tuple(each.get("profiles", ()))
        for name, each in document["services"].items()
        if name not in ours
    }
    observers = dict.fromkeys(OBSERVERS, ("observability",))
    assert others == {"postgres": (), "redis": (), **observers}


def test_every_command_names_the_role_of_its_service(ours: dict[str, dict[str, Any]]) -> None:
    for name, service in ours.items():
        flag, role = service["command"]
        assert flag == "--role"
        assert parse_roles(role) == {Role(name)}


def test_every_setting_can_be_given_and_every_name_is_a_setting(
    ours: dict[str, dict[str, Any]],
) -> None:
    """CHUNKS_DIR alone is left out: the folder of the audio is the shared one."""
    settings = {name.upper() for name in Settings.model_fields} - {"CHUNKS_DIR"}
    for service in ours.values():
        assert set(service["environment"]) == settings


def test_with_three_secrets_given_each_role_gets_settings_fit_for_production(
    ours: dict[str, dict[str, Any]],
) -> None:
    for service in ours.values():
        settings = _settings(service, SECRETS)
        assert errors_in(deployment_issues(deployment_of(settings))) == ()
        assert settings.is_prod
        assert settings.auth_mode == "api_key"
        assert (settings.api_host, settings.api_port) == ("0.0.0.0", 8010)  # noqa: S104 - in a container
        assert settings.storage_mode == "shared_fs"
        assert settings.postgres_dsn is not None
        dsn = settings.postgres_dsn.get_secret_value()
        assert dsn == "postgresql://interview:p4@postgres:5432/interview"
        assert settings.redis_url is not None
        assert settings.redis_url.get_secret_value() == "redis://:r5@redis:6379/0"


def test_four_lines_are_enough_to_start(ours: dict[str, dict[str, Any]]) -> None:
    for service in ours.values():
        settings = _settings(service, FOUR_LINES)
        assert deployment_issues(deployment_of(settings)) == []
        assert not settings.is_prod
        assert not settings.embedded_postgres
        assert not settings.embedded_redis


def test_production_does_not_start_on_the_passwords_of_a_first_try(
    ours: dict[str, dict[str, Any]],
) -> None:
    for service in ours.values():
        settings = _settings(service, {"API_KEYS": "k"})
        assert errors_in(deployment_issues(deployment_of(settings))) == ("well_known_password",)


@pytest.mark.parametrize(
    ("variables", "errors"),
    [
        ({}, ("auth_api_keys_empty",)),
        (
            {
                "AUTH_MODE": "jwt",
                "OIDC_ISSUER_URL": "https://id.example.com",
                "OIDC_AUDIENCE": "interview-agent",
            },
            (),
        ),
    ],
)
def test_keys_are_asked_for_where_no_tokens_are(
    ours: dict[str, dict[str, Any]], variables: dict[str, str], errors: tuple[str, ...]
) -> None:
    for service in ours.values():
        settings = _settings(service, SECRETS | {"API_KEYS": ""} | variables)
        assert errors_in(deployment_issues(deployment_of(settings))) == errors


def test_the_api_migrates_before_the_others_start(document: dict[str, Any]) -> None:
    order = [name for name in start_order(document["services"]) if name not in OBSERVERS]
    assert set(order[:2]) == {"postgres", "redis"}
    assert order[2] == "api"


def test_containers_of_ours_own_nothing_and_write_nowhere_else(
    ours: dict[str, dict[str, Any]],
) -> None:
    for service in ours.values():
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        places = [*service["volumes"], *service["tmpfs"]]
        for folder in ("/audio", "/data", "/tmp"):  # noqa: S108 - inside a container
            assert any(folder in place.split(":") for place in places), folder


def test_every_service_has_a_limit_of_memory(document: dict[str, Any]) -> None:
    for name, service in document["services"].items():
        assert "mem_limit" in service, name


def test_every_variable_is_explained_in_the_example() -> None:
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    for name in names_in(COMPOSE_FILE.read_text(encoding="utf-8")):
        assert f"\n# {name}=" in example, name


def test_every_service_and_volume_that_is_named_exists_and_is_used(
    document: dict[str, Any],
) -> None:
    services = document["services"]
    mounted = {
        volume.partition(":")[0]
        for service in services.values()
        for volume in service.get("volumes", ())
    }
    files = {name for name in mounted if name.startswith("./")}
    assert all((ROOT / name).exists() for name in files)
    mounted -= files
    assert mounted == set(document["volumes"])
    for service in services.values():
        for other, wish in service.get("depends_on", {}).items():
            # Ours are asked as the Dockerfile says.
            assert "healthcheck" in services[other] or "build" in services[other]
            assert wish == {"condition": "service_healthy"}


def test_all_roles_see_the_same_audio(ours: dict[str, dict[str, Any]]) -> None:
    for service in ours.values():
        folder = service["environment"]["STORAGE_SHARED_FS_DIR"]
        assert f"audio:{folder}" in service["volumes"]


def test_the_api_and_the_observers_are_reachable_from_this_machine_alone(
    document: dict[str, Any],
) -> None:
    published = {
        name: each["ports"] for name, each in document["services"].items() if "ports" in each
    }
    assert published == {
        "api": ["127.0.0.1:8010:8010"],
        "prometheus": ["127.0.0.1:9090:9090"],
        "alertmanager": ["127.0.0.1:9093:9093"],
        "grafana": ["127.0.0.1:3000:3000"],
    }


def test_the_observers_are_bounded_and_have_no_password_of_ours(document: dict[str, Any]) -> None:
    for name in OBSERVERS:
        service = document["services"][name]
        assert service["cap_drop"] == ["ALL"]
        assert {"mem_limit", "cpus", "healthcheck"} <= set(service)
        for variable, value in service.get("environment", {}).items():
            if "PASSWORD" in variable:
                assert interpolate(value, {}) == ""


def test_every_role_is_scraped_at_the_port_of_its_metrics(
    document: dict[str, Any], ours: dict[str, dict[str, Any]]
) -> None:
    config = yaml.safe_load((ROOT / "config/observability/prometheus/prometheus.yml").read_text())
    scraped = {
        (name, found["port"])
        for job in config["scrape_configs"]
        for found in job.get("dns_sd_configs", ())
        for name in found["names"]
    }
    assert scraped == {
        (name, int(service["environment"]["METRICS_PORT"])) for name, service in ours.items()
    }
    named = {
        target
        for job in [*config["scrape_configs"], *config["alerting"]["alertmanagers"]]
        for found in job.get("static_configs", ())
        for target in found["targets"]
    }
    ports = {
        f"{name}:{each['ports'][0].rpartition(':')[2]}"
        for name, each in document["services"].items()
        if "ports" in each
    }
    assert named - {"localhost:9090"} <= ports


def test_a_stop_is_not_cut_short(ours: dict[str, dict[str, Any]]) -> None:
    for service in ours.values():
        grace_s = float(service["stop_grace_period"].removesuffix("s"))
        assert grace_s > Settings().shutdown_grace_sec
