"""The probe of the gateway that a production makes at its start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from gateway_twin import GatewayTwin
from interview_agent.compose.connector import Bots, startup_probes
from interview_agent.domain.errors import ConnectorUnavailable
from interview_agent.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

PROD = {
    "APP_ENV": "prod",
    "MEETING_CONNECTOR_PROVIDER": "sberjazz",
    "SBERJAZZ_API_BASE": "https://gateway.test",
}


async def found(gateway: GatewayTwin, **changes: str) -> Sequence[tuple[str, str]]:
    """Return severities and codes of what the probes find."""
    nothing = cast("Any", None)
    bots = Bots(gateway, *[nothing] * 6)
    probes = startup_probes(read_settings(PROD | changes), bots)
    return [(issue.severity.value, issue.code) for probe in probes for issue in await probe()]


async def test_a_gateway_that_works_is_no_issue() -> None:
    gateway = GatewayTwin()
    assert await found(gateway) == []
    assert gateway.calls == ["health"]


@pytest.mark.parametrize(("fatal", "severity"), [("true", "error"), ("false", "warning")])
async def test_one_that_does_not_is_an_error_or_a_warning_as_set(fatal: str, severity: str) -> None:
    gateway = GatewayTwin(healthy=False)
    fast = {"SBERJAZZ_STARTUP_PROBE_FAIL_FAST_IN_PROD": fatal}
    assert await found(gateway, **fast) == [(severity, "sberjazz_startup_probe_failed")]
    gateway.fail("health", ConnectorUnavailable())
    assert await found(gateway, **fast) == [(severity, "sberjazz_startup_probe_error")]


@pytest.mark.parametrize(
    "changes",
    [
        {"APP_ENV": "dev"},
        {"SBERJAZZ_STARTUP_PROBE_ENABLED": "false"},
        {"MEETING_CONNECTOR_PROVIDER": "sberjazz_mock"},
    ],
)
async def test_elsewhere_nobody_is_asked(changes: dict[str, str]) -> None:
    gateway = GatewayTwin(healthy=False)
    assert await found(gateway, **changes) == []
    assert gateway.calls == []
