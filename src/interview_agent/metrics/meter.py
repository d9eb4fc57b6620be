"""What a meter is declared by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Meter:
    """One declared metric: its name, kind, labels and what it says."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    help: str


def counter(name: str, labels: tuple[str, ...], help_: str) -> Meter:
    """Declare a counter."""
    return Meter(name, "counter", labels, help_)


def gauge(name: str, labels: tuple[str, ...], help_: str) -> Meter:
    """Declare a gauge."""
    return Meter(name, "gauge", labels, help_)


def histogram(name: str, labels: tuple[str, ...], help_: str) -> Meter:
    """Declare a histogram."""
    return Meter(name, "histogram", labels, help_)
