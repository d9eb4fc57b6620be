"""What may keep a deployment from working safely: what is found, and how it is mended."""

from interview_agent.domain.readiness.deployment import AuthMode, Connector, Deployment
from interview_agent.domain.readiness.issue import Finding, Issue, Severity, errors_in, one_line
from interview_agent.domain.readiness.rules import (
    database_issues,
    deployment_issues,
    queue_issues,
)
from interview_agent.domain.readiness.table import as_table

__all__ = [
    "AuthMode",
    "Connector",
    "Deployment",
    "Finding",
    "Issue",
    "Severity",
    "as_table",
    "database_issues",
    "deployment_issues",
    "errors_in",
    "one_line",
    "queue_issues",
]
