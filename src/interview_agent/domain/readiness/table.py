"""Issues as a table for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interview_agent.domain.readiness.issue import Severity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from interview_agent.domain.readiness.issue import Issue


def as_table(issues: Sequence[Issue]) -> str:
    """Return a row for each issue, errors first, its mend below it, and a last line that counts."""
    ordered = sorted(issues, key=lambda issue: issue.severity is not Severity.ERROR)
    width = max((len(issue.code) for issue in ordered), default=0)
    gap = " " * (len(Severity.WARNING) + 2 + width + 2)
    lines = []
    for issue in ordered:
        severity = issue.severity.upper().ljust(len(Severity.WARNING))
        lines += [f"{severity}  {issue.code.ljust(width)}  {issue.message}", f"{gap}{issue.mend}"]
    errors = sum(issue.severity is Severity.ERROR for issue in issues)
    verdict = "not ready" if errors else "ready"
    return "\n".join([*lines, f"{verdict}; errors: {errors}, warnings: {len(issues) - errors}"])
