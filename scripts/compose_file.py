"""What docker-compose.yml says, read as compose reads it: merges, references, order of start."""

from __future__ import annotations

import re
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).resolve().parents[1]
COMPOSE_FILE = ROOT / "docker-compose.yml"

_REFERENCE = re.compile(r"\$\$|\$\{(\w+)(?::(-|\?)((?:[^${}]|\$\{[^${}]*\})*))?\}")


def read_compose_file(path: Path = COMPOSE_FILE) -> dict[str, Any]:
    """Return the whole file with its merge keys resolved and its references as they stand."""
    document: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return document


def interpolate(text: str, variables: Mapping[str, str]) -> str:
    """Fill references: `:-` gives a default, `:?` raises `KeyError`, `$$` is a dollar sign."""

    def fill(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        name, kind, rest = match[1], match[2], match[3] or ""
        if value := variables.get(name):
            return value
        if kind == "?":
            raise KeyError(name)
        return interpolate(rest, variables)

    return _REFERENCE.sub(fill, text)


def names_in(text: str) -> set[str]:
    """Return the variables that a text refers to, those within defaults too."""
    return set(re.findall(r"(?<!\$)\$\{(\w+)", text))


def default_of(name: str, text: str) -> str:
    """Return what a reference to a variable says where nothing is given, else an empty text."""
    found = re.search(rf"\$\{{{name}:-([^${{}}]*)\}}", text)
    return found[1] if found else ""


def start_order(services: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the names of the services, each after all that it waits for."""
    waits = {name: list(each.get("depends_on", {})) for name, each in services.items()}
    return list(TopologicalSorter(waits).static_order())
