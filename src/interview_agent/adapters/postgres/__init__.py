"""PostgreSQL: the truth about meetings, audio, work and results."""

from interview_agent.adapters.postgres.archive import PostgresArchive
from interview_agent.adapters.postgres.audit_store import PostgresAuditStore
from interview_agent.adapters.postgres.backlog import PostgresBacklog
from interview_agent.adapters.postgres.connector_breakers import PostgresBreakers
from interview_agent.adapters.postgres.connector_pull import PostgresConnectorPulls
from interview_agent.adapters.postgres.connector_sessions import PostgresConnectorSessions
from interview_agent.adapters.postgres.database import Database, open_database
from interview_agent.adapters.postgres.deletions import PostgresDeletions
from interview_agent.adapters.postgres.erasure_records import PostgresErasureRecords
from interview_agent.adapters.postgres.intake import PostgresIntake
from interview_agent.adapters.postgres.live_records import PostgresLiveRecords
from interview_agent.adapters.postgres.live_sessions import PostgresLiveSessions
from interview_agent.adapters.postgres.migrations import check_schema, migrate
from interview_agent.adapters.postgres.operations import PostgresOperations
from interview_agent.adapters.postgres.quota import MeetingQuota
from interview_agent.adapters.postgres.stage_records import PostgresStageRecords
from interview_agent.adapters.postgres.stray_bots import PostgresStrayBots
from interview_agent.adapters.postgres.work import PostgresWorkStore

__all__ = [
    "Database",
    "MeetingQuota",
    "PostgresArchive",
    "PostgresAuditStore",
    "PostgresBacklog",
    "PostgresBreakers",
    "PostgresConnectorPulls",
    "PostgresConnectorSessions",
    "PostgresDeletions",
    "PostgresErasureRecords",
    "PostgresIntake",
    "PostgresLiveRecords",
    "PostgresLiveSessions",
    "PostgresOperations",
    "PostgresStageRecords",
    "PostgresStrayBots",
    "PostgresWorkStore",
    "check_schema",
    "migrate",
    "open_database",
]
