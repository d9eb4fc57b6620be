"""What fails in the service itself or in what it stands on."""

from __future__ import annotations

from interview_agent.domain.errors.agent_error import AgentError, Fault


class Backpressure(AgentError):
    """The service has as much work as it can hold; try again later."""

    code = "backpressure"
    fault = Fault.TRANSIENT


class Stopping(Backpressure):
    """This process is stopping; try again in a moment."""

    def __init__(self) -> None:
        super().__init__(retry_after_s=5)


class StorageError(AgentError):
    """The audio could not be made durable."""

    code = "storage_error"
    fault = Fault.TRANSIENT


class DatabaseError(AgentError):
    """The database cannot be used now."""

    code = "db_error"
    fault = Fault.TRANSIENT


class QueueError(AgentError):
    """The wake-up queue cannot be used now."""

    code = "redis_error"
    fault = Fault.TRANSIENT


class SttError(AgentError):
    """Speech recognition failed."""

    code = "stt_provider_error"
    fault = Fault.TRANSIENT


class DeliveryError(AgentError):
    """The report could not be delivered."""

    code = "delivery_provider_error"
    fault = Fault.TRANSIENT


class LeaseLost(AgentError):
    """Another worker has taken this work over."""

    code = "lease_lost"
    fault = Fault.TRANSIENT


class StartupError(AgentError):
    """The service cannot start as it is configured."""

    code = "startup_failed"
    fault = Fault.PERMANENT
