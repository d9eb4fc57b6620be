"""Which refusals have a row of their own, and which share one."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from interview_agent.ports.audit import AuditEvent

_TOO_MANY_REQUESTS = 429
_NOBODY = frozenset({"", "-", "anonymous", "unknown"})


@dataclass(frozen=True, slots=True)
class FoldLimits:
    """How many refusals have rows of their own in a minute.

    `of_one` holds for those of one caller for one reason, `of_all` for all of this process.
    """

    of_one: int = 600
    of_all: int = 6_000


class Folding:
    """Gives events that share a row the same key.

    A row for each caller, reason and minute takes the refusals past the rate limit, and every
    other one past the limits here. Who is not known by a subject is known by the address.
    """

    def __init__(self, limits: FoldLimits) -> None:
        self._limits = limits
        self._minute = ""
        self._counts: dict[tuple[str, str], int] = {}
        self._all = 0

    def key(self, event: AuditEvent, now: datetime) -> str | None:
        """Return the key of the row that an event shares, None for a row of its own."""
        if event.outcome == "allow":
            return None
        minute = f"{now:%Y-%m-%dT%H:%M}"
        caller = _caller(event)
        if event.status_code == _TOO_MANY_REQUESTS or self._is_past_limits(event, caller, minute):
            return _digest("refused", minute, *caller, event.reason)
        return None

    @staticmethod
    def hourly(event: AuditEvent, now: datetime) -> str:
        """Return the key of the row of this hour for a subject in a meeting."""
        return _digest("hourly", f"{now:%Y-%m-%dT%H}", event.subject, event.meeting_id or "")

    def _is_past_limits(self, event: AuditEvent, caller: tuple[str, str], minute: str) -> bool:
        if minute != self._minute:
            self._minute, self._all = minute, 0
            self._counts.clear()
        if self._all >= self._limits.of_all:
            return True
        one = (_digest(*caller), event.reason)
        count = self._counts.get(one, 0) + 1
        if count > self._limits.of_one:
            return True
        self._counts[one] = count
        self._all += 1
        return False


def _caller(event: AuditEvent) -> tuple[str, str]:
    if event.subject in _NOBODY:
        return "address", event.client_ip or ""
    return "subject", event.subject


def _digest(*parts: str) -> str:
    joined = "\0".join(parts)
    return hashlib.sha256(joined.encode("utf-8", "surrogatepass")).hexdigest()[:32]
