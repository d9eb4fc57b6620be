"""What stands in the way of a safe start."""

from interview_agent.domain.readiness.issue import Issue, Severity

__all__ = ["Issue", "Severity"]
