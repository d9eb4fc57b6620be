"""The one place that names concrete things and joins them into a running service."""

from interview_agent.compose.process import migrate_database, open_service

__all__ = ["migrate_database", "open_service"]
