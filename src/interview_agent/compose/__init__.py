"""The one place that names concrete things and joins them into a running service."""

from interview_agent.compose.check import CheckReport, check_deployment
from interview_agent.compose.process import migrate_database, open_service

__all__ = ["CheckReport", "check_deployment", "migrate_database", "open_service"]
