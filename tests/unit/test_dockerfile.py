"""The Dockerfile is safe and names only what exists."""

from __future__ import annotations

import json
import re
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

import pytest

from interview_agent.settings import Settings, read_settings

ROOT = Path(__file__).resolve().parents[2]


class Instruction(NamedTuple):
    """One instruction with its arguments, continuation lines joined."""

    name: str
    arguments: str


@pytest.fixture(scope="module")
def instructions() -> list[Instruction]:
    """Every instruction of the file in order."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = re.sub(r"\\\n\s*", "", re.sub(r"(?m)^#.*\n", "", text)).splitlines()
    return [Instruction(*line.split(maxsplit=1)) for line in lines if line.strip()]


def _of(instructions: list[Instruction], name: str) -> list[str]:
    return [each.arguments for each in instructions if each.name == name]


def _variables(instructions: list[Instruction]) -> dict[str, str]:
    pairs = (pair.partition("=") for line in _of(instructions, "ENV") for pair in line.split())
    return {name: value for name, _, value in pairs}


def test_only_known_instructions_are_used(instructions: list[Instruction]) -> None:
    known = "ARG FROM RUN COPY ENV USER WORKDIR VOLUME EXPOSE STOPSIGNAL HEALTHCHECK ENTRYPOINT"
    assert {each.name for each in instructions} <= set(known.split()), "ADD and others stay out"


def test_every_stage_starts_from_the_one_chosen_image(instructions: list[Instruction]) -> None:
    assert _of(instructions, "ARG") == ["PYTHON_IMAGE=python:3.12-slim"]
    assert _of(instructions, "FROM") == ["${PYTHON_IMAGE} AS packages", "${PYTHON_IMAGE}"]


def test_the_process_is_not_root_and_nothing_follows_that_needs_root(
    instructions: list[Instruction],
) -> None:
    (user,) = _of(instructions, "USER")
    assert all(part.isdigit() and int(part) > 0 for part in user.split(":"))
    after = instructions[instructions.index(Instruction("USER", user)) :]
    assert not {"RUN", "COPY"} & {each.name for each in after}


def test_every_copied_path_exists_and_reaches_the_builder(instructions: list[Instruction]) -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    let_through = {line[1:] for line in ignored if line.startswith("!")}
    assert "*" in ignored
    copied = set()
    for line in _of(instructions, "COPY"):
        sources = line.split()[:-1]
        if not sources[0].startswith("--from="):
            copied |= set(sources)
    assert copied == let_through
    assert all((ROOT / source).exists() for source in copied)


def test_packages_come_from_the_lock_with_their_hashes(instructions: list[Instruction]) -> None:
    installs = [line for line in _of(instructions, "RUN") if "pip install" in line]
    assert len(installs) == 1
    assert "--require-hashes --no-deps -r /tmp/requirements-prod.lock" in installs[0]
    assert not any(fnmatch(line, "*curl*") for line in _of(instructions, "RUN"))


def test_the_image_holds_no_secret_and_is_production_unless_told_otherwise(
    instructions: list[Instruction],
) -> None:
    variables = _variables(instructions)
    secrets = [name.upper() for name in Settings.model_fields if "secret" in _form(name)]
    assert "POSTGRES_DSN" in secrets
    assert "API_KEYS" in secrets
    assert not set(secrets) & set(variables)
    assert not [name for name in variables if re.search("KEY|TOKEN|PASS|SECRET", name)]
    settings = read_settings(variables)
    assert settings.is_prod
    assert settings.auth_mode == "api_key"


def _form(name: str) -> str:
    return str(Settings.model_fields[name].annotation).lower()


def test_it_listens_for_others_and_stores_in_its_volumes(instructions: list[Instruction]) -> None:
    variables = _variables(instructions)
    assert variables["API_HOST"] == "0.0.0.0"  # noqa: S104 - in a container
    volumes = json.loads(_of(instructions, "VOLUME")[0])
    assert variables["DATA_DIR"] in volumes
    made = next(line for line in _of(instructions, "RUN") if "install --directory" in line)
    assert all(volume in made for volume in volumes)


def test_its_health_is_asked_at_both_ports_that_a_role_may_answer_at(
    instructions: list[Instruction],
) -> None:
    (line,) = _of(instructions, "HEALTHCHECK")
    command = json.loads(line.partition(" CMD ")[2])
    assert command[:2] == ["python", "-c"]
    compile(command[2], "healthcheck", "exec")
    settings = Settings()
    for port in (settings.api_port, settings.metrics_port):
        assert f"http://127.0.0.1:{port}/health" in command[2]
        assert str(port) in _of(instructions, "EXPOSE")[0].split()


def test_the_service_hears_signals_itself_without_a_shell_between(
    instructions: list[Instruction],
) -> None:
    (line,) = _of(instructions, "ENTRYPOINT")
    assert json.loads(line) == ["python", "-m", "interview_agent"]
