"""One thing that was found, and the kinds of things that can be."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


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


@dataclass(frozen=True, slots=True)
class Finding:
    """A kind of issue, declared once; how severe it is depends on where it is found."""

    code: str
    message: str
    mend: str

    def error(self, about: str = "") -> Issue:
        """Return the issue that keeps a deployment from being ready; `about` says which part."""
        return self._issue(Severity.ERROR, about)

    def warning(self, about: str = "") -> Issue:
        """Return the issue that is worth a look."""
        return self._issue(Severity.WARNING, about)

    def found(self, *, prod: bool, about: str = "") -> Issue:
        """Return an error in production, elsewhere a warning."""
        return self.error(about) if prod else self.warning(about)

    def _issue(self, severity: Severity, about: str) -> Issue:
        message = f"{self.message} ({about})" if about else self.message
        return Issue(severity, self.code, message, self.mend)


def errors_in(issues: Iterable[Issue]) -> tuple[str, ...]:
    """Return the codes of the errors, each once, in the order they were found."""
    found = (issue.code for issue in issues if issue.severity is Severity.ERROR)
    return tuple(dict.fromkeys(found))


def one_line(codes: Iterable[str]) -> str:
    """Return what a process says that does not start because of these errors."""
    return f"startup readiness failed: {', '.join(codes)}"
