"""Alerts go where the environment says, and Grafana does not start with a known password."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "config" / "observability"
ALERTMANAGER = FOLDER / "alertmanager"
MAIL = {
    "ALERT_EMAIL_TO": "night@example.com",
    "ALERT_EMAIL_FROM": "agent@example.com",
    "ALERT_SMTP_SMARTHOST": "mail.example.com:587",
}


def started(folder: Path, **environment: str) -> tuple[Path, str]:
    """Run the start script with a program that does nothing; its configuration, what it said."""
    made = folder / "alertmanager.yml"
    done = subprocess.run(
        ["/bin/sh", ALERTMANAGER / "start.sh", "--storage.path=/data"],
        env={
            "PATH": "/usr/bin:/bin",
            "ALERTMANAGER_CONFIG": str(made),
            "ALERTMANAGER_PROGRAM": "/bin/echo",
            **environment,
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"--config.file={made} --storage.path=/data\n"
    return made, done.stderr


def receivers(made: Path) -> list[dict[str, Any]]:
    config = yaml.safe_load(made.read_text(encoding="utf-8"))
    assert [each["name"] for each in config["receivers"]] == ["default", "warning", "critical"]
    found: list[dict[str, Any]] = config["receivers"]
    return found


@pytest.mark.parametrize("by_file", [False, True])
def test_every_receiver_gets_both_destinations_by_value_or_by_file(
    tmp_path: Path, by_file: bool
) -> None:
    values = {
        "ALERT_WEBHOOK_URL": "https://hooks.example.com/a'b?c=1: #2",
        **MAIL,
        "ALERT_SMTP_USER": "agent",
        "ALERT_SMTP_PASSWORD": 'it\'s "secret"',
    }
    if by_file:
        for name, value in values.copy().items():
            (tmp_path / name).write_text(f"{value}\n")
            values[f"{name}_FILE"] = str(tmp_path / name)
            del values[name]
    made, said = started(tmp_path, **values)
    assert said == ""
    for receiver in receivers(made):
        (webhook,), (mail,) = receiver["webhook_configs"], receiver["email_configs"]
        assert webhook == {"url": "https://hooks.example.com/a'b?c=1: #2", "send_resolved": True}
        assert (mail["to"], mail["from"]) == (MAIL["ALERT_EMAIL_TO"], MAIL["ALERT_EMAIL_FROM"])
        assert mail["smarthost"] == MAIL["ALERT_SMTP_SMARTHOST"]
        assert (mail["auth_username"], mail["auth_password"]) == ("agent", 'it\'s "secret"')
    assert made.stat().st_mode & 0o077 == 0, "it holds a password"


def test_without_a_destination_it_says_that_nobody_is_called(tmp_path: Path) -> None:
    made, said = started(tmp_path)
    assert "alerts go to nobody; set ALERT_WEBHOOK_URL or ALERT_EMAIL_TO" in said
    assert all(set(each) == {"name"} for each in receivers(made))


def amtool(*arguments: str | Path) -> str:
    """Run amtool, and return what it says."""
    if shutil.which("amtool") is None:
        pytest.skip("amtool is missing: it is in the Debian package prometheus-alertmanager")
    done = subprocess.run(["amtool", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "given", [{}, {"ALERT_WEBHOOK_URL": "https://hooks.example.com/a"}, MAIL], ids=len
)
def test_amtool_finds_no_fault_in_what_is_made(tmp_path: Path, given: dict[str, str]) -> None:
    made, _ = started(tmp_path, **given)
    assert "3 receivers" in amtool("check-config", made)


@pytest.mark.parametrize("severity", ["critical", "warning", "other"])
def test_alerts_are_routed_by_their_severity(severity: str) -> None:
    file = ALERTMANAGER / "alertmanager.yml"
    receiver = amtool("config", "routes", "test", f"--config.file={file}", f"severity={severity}")
    assert receiver.strip() == ("default" if severity == "other" else severity)


def test_inhibition_names_alerts_that_exist() -> None:
    rules = yaml.safe_load((FOLDER / "prometheus" / "rules" / "alerts.yml").read_text())
    names = {rule["alert"] for group in rules["groups"] for rule in group["rules"]}
    config = yaml.safe_load((ALERTMANAGER / "alertmanager.yml").read_text())
    for rule in config["inhibit_rules"]:
        for matcher in (*rule["source_matchers"], *rule["target_matchers"]):
            label, _, value = matcher.partition("=")
            if label == "alertname" and "*" not in value:
                assert set(value.strip('~"').split("|")) <= names


@pytest.mark.parametrize(("password", "code"), [("", 1), ("of-ones-own", 0)])
def test_grafana_does_not_start_without_a_password_of_ones_own(password: str, code: int) -> None:
    done = subprocess.run(
        ["/bin/sh", FOLDER / "grafana" / "start.sh"],
        env={"GF_SECURITY_ADMIN_PASSWORD": password, "GRAFANA_PROGRAM": "/bin/true"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code
    assert ("GRAFANA_ADMIN_PASSWORD" in done.stderr) == (code == 1)
