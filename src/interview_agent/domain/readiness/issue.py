"""One thing that was found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """Whether a deployment with this is not ready, or only worth a look."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Issue:
    """Something that was found: a stable code, what it means, and what to do about it.

    Neither sentence holds an address, a secret or anything that a caller sent.
    """

    severity: Severity
    code: str
    message: str
    mend: str
