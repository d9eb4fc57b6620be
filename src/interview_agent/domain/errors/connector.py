"""What fails between this service and the gateway of a connector."""

from __future__ import annotations

from typing import ClassVar

from interview_agent.domain.errors.agent_error import AgentError, Fault


class ConnectorError(AgentError):
    """The connector could not do this."""

    code = "connector_provider_error"
    fault = Fault.TRANSIENT
    counts_against_gateway: ClassVar[bool] = False
    """Whether it speaks of a gateway in trouble, which is what circuit breakers count."""


class ConnectorTimeout(ConnectorError):
    """The gateway did not answer in time."""

    code = "connector_timeout"
    counts_against_gateway = True


class ConnectorUnavailable(ConnectorError):
    """The gateway cannot be reached or fails."""

    code = "connector_unavailable"
    counts_against_gateway = True


class ConnectorRateLimited(ConnectorError):
    """The gateway asks for fewer requests."""

    code = "connector_rate_limit"
    counts_against_gateway = True


class ConnectorAuthError(ConnectorError):
    """The gateway does not accept our credentials."""

    code = "connector_auth_error"
    fault = Fault.PERMANENT


class ConnectorBadRequest(ConnectorError):
    """The gateway refuses this request."""

    code = "connector_bad_request"
    fault = Fault.PERMANENT


class ConnectorInvalidResponse(ConnectorError):
    """The gateway answered with something that is not its protocol."""

    code = "connector_invalid_response"
    fault = Fault.PERMANENT


class ConnectorBusy(ConnectorError):
    """Another operation on this meeting is under way."""

    code = "connector_busy"


class ConnectorCircuitOpen(ConnectorError):
    """The gateway failed too often of late and is left in peace for a while."""

    code = "connector_circuit_open"


class ConnectorDisabled(ConnectorError):
    """No connector is configured."""

    code = "connector_disabled"
    fault = Fault.PERMANENT
