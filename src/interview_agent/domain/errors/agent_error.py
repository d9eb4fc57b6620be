"""The root of the error tree, and whose fault an error is."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, ClassVar


class Fault(StrEnum):
    """Whose fault an error is, which decides whether a retry can help."""

    CALLER = "caller"
    TRANSIENT = "transient"
    PERMANENT = "permanent"


class AgentError(Exception):
    """Something went wrong inside the service."""

    code: ClassVar[str] = "unknown"
    fault: ClassVar[Fault] = Fault.PERMANENT
    refusal: str | None = None
    """Why somebody was turned away, as the audit trail keeps it; None: nobody was."""

    def __init__(
        self,
        message: str | None = None,
        *,
        details: dict[str, Any] | None = None,
        retry_after_s: int | None = None,
        refusal: str | None = None,
    ) -> None:
        self.message = message or (type(self).__doc__ or self.code).strip()
        self.details = details or {}
        self.retry_after_s = retry_after_s
        self.refusal = refusal or self.refusal
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"
