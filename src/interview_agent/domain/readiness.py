"""What stands in the way of a safe start, and how to mend it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Issue:
    """One finding; an `error` means not ready. Texts hold no secrets, hosts or versions."""

    severity: Literal["error", "warning"]
    code: str
    message: str
    mend: str
