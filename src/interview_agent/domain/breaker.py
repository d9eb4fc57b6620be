"""A circuit breaker as it stands."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


class BreakerState(StrEnum):
    """`closed` lets all pass, `open` nobody, `half_open` one probe at a time."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class Breaker:
    """How a breaker stood when it was asked; `probe` numbers the one probe of a half-open one."""

    state: BreakerState = BreakerState.CLOSED
    consecutive_failures: int = 0
    opened_at: datetime | None = None
    last_error: str | None = None
    updated_at: datetime | None = None
    probe: int | None = None
