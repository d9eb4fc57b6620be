"""The pipelines of the repository check what they are there to check, and take nothing on trust."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PYTHONS = ["3.11", "3.12", "3.13"]
SHORT_REASON = 20


def _workflow(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / ".github" / "workflows" / name).read_text())
    return loaded


def _steps(workflow: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for job in workflow["jobs"].values():
        yield from job["steps"]


def _commands(*names: str) -> str:
    return "\n".join(step.get("run", "") for name in names for step in _steps(_workflow(name)))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_pipeline_may_only_read_ends_in_time_and_uses_tagged_actions(file: Path) -> None:
    workflow = _workflow(file.name)
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 60
        assert "permissions" not in job
        assert re.fullmatch(r"ubuntu-\d\d\.\d\d", job["runs-on"])
    for step in _steps(workflow):
        if "uses" in step:
            assert re.fullmatch(r"[\w-]+/[\w-]+@v\d+(\.\d+\.\d+)?", step["uses"]), step["uses"]
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_no_text_from_outside_becomes_a_command_and_no_secret_is_used(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert set(re.findall(r"\$\{\{\s*([\w.]+)", text)) <= {
        "github.ref",
        "matrix.python",
        "matrix.lock",
    }
    assert "pull_request_target" not in text


def test_every_action_is_listed_for_who_wants_to_pin_it() -> None:
    used = {
        step["uses"] for file in FILES for step in _steps(_workflow(file.name)) if "uses" in step
    }
    page = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
    assert used == set(re.findall(r"`([\w-]+/[\w-]+@v[\d.]+)`", page))


def test_a_change_is_checked_for_style_and_on_every_python_with_and_without_services() -> None:
    ci = _workflow("ci.yml")
    assert "make lint" in _commands("ci.yml")
    assert "generate_docs.py --check" in _commands("ci.yml")
    for name in ("tests", "tests-with-services"):
        assert ci["jobs"][name]["strategy"]["matrix"]["python"] == PYTHONS
    assert "make test" in _commands("ci.yml")
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    for name, service in ci["jobs"]["tests-with-services"]["services"].items():
        assert service["image"] == compose[name]["image"]


def test_the_image_is_started_from_the_four_lines_and_judged() -> None:
    commands = _commands("image.yml")
    order = [
        "APP_ENV=dev\\nAUTH_MODE=api_key\\nAPI_KEYS=%s\\nSERVICE_API_KEYS=%s",
        "docker compose up --detach --build --wait",
        "openapi.json",
        "scripts/e2e_local.py",
        "scripts/load_smoke.py",
        "docker compose down --volumes",
    ]
    assert [each for each in order if each not in commands] == []
    assert sorted(order, key=commands.index) == order


def test_both_scanners_fail_on_high_and_critical_and_a_list_of_parts_is_kept() -> None:
    steps = {step.get("name"): step for step in _steps(_workflow("image.yml"))}
    trivy, grype = steps["trivy"], steps["grype"]
    assert trivy["with"]["severity"] == "HIGH,CRITICAL"
    assert trivy["with"]["exit-code"] == "1"
    assert trivy["env"]["TRIVY_IGNOREFILE"] == "./.trivyignore.yaml"
    assert (grype["with"]["severity-cutoff"], grype["with"]["fail-build"]) == ("high", True)
    assert grype["with"]["config"] == ".grype.yaml"
    assert steps["list of parts (CycloneDX)"]["with"]["format"] == "cyclonedx"


def test_both_locks_are_audited_each_week() -> None:
    workflow = _workflow("dependencies.yml")
    # YAML 1.1 takes the key `on` for a boolean.
    triggers = workflow[True]
    assert triggers["schedule"]
    assert set(workflow["jobs"]["pip-audit"]["strategy"]["matrix"]["lock"]) == {
        path.name for path in ROOT.glob("requirements*.lock")
    }
    assert re.search(r"pip-audit==\d+\.\d+\.\d+ ", _commands("dependencies.yml"))


def test_whatever_a_scanner_lets_pass_has_a_reason_and_a_date() -> None:
    trivy = yaml.safe_load((ROOT / ".trivyignore.yaml").read_text())["vulnerabilities"]
    grype = yaml.safe_load((ROOT / ".grype.yaml").read_text())["ignore"]
    assert {each["id"] for each in trivy} == {each["vulnerability"] for each in grype}
    for each in trivy:
        assert isinstance(each["expired_at"], date), each["id"]
        assert len(each["statement"]) > SHORT_REASON, each["id"]
    for each in grype:
        assert re.match(r"until \d{4}-\d\d-\d\d: .{20}", each["reason"]), each["vulnerability"]
