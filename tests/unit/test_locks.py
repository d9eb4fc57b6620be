"""The locks hold what pyproject.toml asks for, and nothing that we do without."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FULL, PRODUCTION = "requirements.lock", "requirements-prod.lock"

Pins = dict[tuple[str, str], frozenset[str]]


def _pins(name: str) -> Pins:
    """Return the hashes of each (package, version)."""
    text = (ROOT / name).read_text(encoding="utf-8")
    blocks = re.split(r"(?m)^(?=[a-z0-9])", text)[1:]
    pins = {}
    for block in blocks:
        match = re.match(r"([a-z0-9][a-z0-9._-]*)==(\S+)", block)
        assert match, block[:80]
        pins[match[1], match[2]] = frozenset(re.findall(r"--hash=(sha256:[0-9a-f]{64})", block))
    return pins


def _names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[<>=~!; ]", each)[0].lower() for each in requirements}


@pytest.mark.parametrize("name", [FULL, PRODUCTION])
def test_every_package_is_pinned_with_hashes(name: str) -> None:
    pins = _pins(name)
    assert pins
    assert all(pins.values())


@pytest.mark.parametrize("name", [FULL, PRODUCTION])
def test_no_address_of_an_index_stands_in_a_lock(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert "://" not in text
    assert not re.search(r"(?m)^\s*-", text.replace("    --hash=", ""))


@pytest.mark.parametrize("name", [FULL, PRODUCTION])
def test_what_we_do_without_stays_out(name: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    excluded = set(project["tool"]["uv"]["exclude-dependencies"])
    assert {"ecdsa", "rsa"} <= excluded
    assert not ({name for name, _ in _pins(name)} & (excluded | {"torch"}))


def test_the_production_lock_is_a_part_of_the_full_one() -> None:
    full = _pins(FULL)
    for pin, hashes in _pins(PRODUCTION).items():
        assert full[pin] == hashes, pin


def test_each_lock_holds_what_is_asked_for_directly() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = _names(project["dependencies"])
    extras = {key: _names(value) for key, value in project["optional-dependencies"].items()}
    full = {name for name, _ in _pins(FULL)}
    production = {name for name, _ in _pins(PRODUCTION)}
    assert needed.union(*extras.values()) <= full
    assert needed | extras["model"] <= production
    assert not production & (extras["embedded"] | (extras["dev"] - needed - {"pyyaml"}))
