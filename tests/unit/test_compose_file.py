"""docker-compose.yml is well-formed, complete, and speaks of things that exist."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from interview_agent.compose.readiness import deployment_of
from interview_agent.domain.readiness import deployment_issues, errors_in
from interview_agent.domain.roles import Role, parse_roles
from interview_agent.settings import Settings, read_settings

ROOT = Path(__file__).resolve().parents[2]

_DURATION = {"type": "string", "pattern": r"^\d+(ms|s|m)$"}
_TEXTS = {"type": "array", "items": {"type": "string"}}
_SERVICE: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["image", "restart"],
    "properties": {
        "image": {"type": "string", "pattern": r"^[a-z0-9][a-z0-9./_-]*(:[A-Za-z0-9._-]+)?$"},
        "build": {"type": "string"},
        "restart": {"enum": ["no", "always", "on-failure", "unless-stopped"]},
        "init": {"type": "boolean"},
        "cap_drop": _TEXTS,
        "security_opt": _TEXTS,
        "stop_grace_period": _DURATION,
        "command": _TEXTS,
        "entrypoint": _TEXTS,
        "profiles": _TEXTS,
        "read_only": {"type": "boolean"},
        "tmpfs": _TEXTS,
        "mem_limit": {"type": "string", "pattern": r"^\d+[mg]$"},
        "cpus": {"type": "number", "exclusiveMinimum": 0},
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

_REFERENCE = re.compile(r"\$\{(\w+)(?::(-|\?)((?:[^${}]|\$\{\w+\})*))?\}")


def _interpolate(text: str, variables: dict[str, str]) -> str:
    """Fill references as compose does: `:-` gives a default, `:?` demands a value."""

    def fill(match: re.Match[str]) -> str:
        name, kind, rest = match[1], match[2], match[3] or ""
        if value := variables.get(name):
            return value
        if kind == "?":
            raise KeyError(name)
        return _interpolate(rest, variables)

    return _REFERENCE.sub(fill, text)


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """The whole file, with its merge keys resolved."""
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return loaded


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
    observers = dict.fromkeys(("prometheus", "alertmanager", "grafana"), ("observability",))
    assert others == {"postgres": (), "valkey": (), **observers}


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


def test_with_two_secrets_given_each_role_gets_settings_fit_for_production(
    ours: dict[str, dict[str, Any]],
) -> None:
    variables = {"API_KEYS": "k", "POSTGRES_PASSWORD": "p4"}
    for service in ours.values():
        environ = {
            name: _interpolate(value, variables) for name, value in service["environment"].items()
        }
        settings = read_settings(environ)
        assert errors_in(deployment_issues(deployment_of(settings))) == ()
        assert settings.is_prod
        assert settings.auth_mode == "api_key"
        assert (settings.api_host, settings.api_port) == ("0.0.0.0", 8010)  # noqa: S104 - in a container
        assert settings.storage_mode == "shared_fs"
        assert settings.postgres_dsn is not None
        dsn = settings.postgres_dsn.get_secret_value()
        assert dsn == "postgresql://interview:p4@postgres:5432/interview"


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
        environ = {
            name: _interpolate(value, variables | {"POSTGRES_PASSWORD": "p4"})
            for name, value in service["environment"].items()
        }
        assert errors_in(deployment_issues(deployment_of(read_settings(environ)))) == errors


def test_without_a_password_of_the_database_compose_refuses_to_start(
    document: dict[str, Any],
) -> None:
    text = "\n".join(
        value
        for service in document["services"].values()
        for value in service.get("environment", {}).values()
    )
    with pytest.raises(KeyError, match="POSTGRES_PASSWORD"):
        _interpolate(text, {"API_KEYS": "k"})


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
            assert "healthcheck" in services[other]
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
    for name in ("prometheus", "alertmanager", "grafana"):
        service = document["services"][name]
        assert service["cap_drop"] == ["ALL"]
        assert {"mem_limit", "cpus", "healthcheck"} <= set(service)
        for variable, value in service.get("environment", {}).items():
            if "PASSWORD" in variable:
                assert _interpolate(value, {}) == ""


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
