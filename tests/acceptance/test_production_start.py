"""An unsafe production does not start by accident, and says why in one line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from production_settings import SAFE, SECRET
from running_agents import KEY

if TYPE_CHECKING:
    from running_agents import Agent, Agents


def last_line(agent: Agent) -> str:
    return agent.log.splitlines()[-1]


def events(agent: Agent, name: str) -> list[Any]:
    lines = [line for line in agent.log.splitlines() if line.startswith("{")]
    return [event for event in map(json.loads, lines) if event["msg"] == name]


async def ended(agent: Agent) -> int:
    await agent.launch()
    return await agent.ended()


@pytest.mark.parametrize(
    ("role", "changes", "codes"),
    [
        ("api", {"AUTH_MODE": "none"}, "auth_none_in_prod"),
        ("worker", {"APP_ENV": "Prod-eu", "API_KEYS": " "}, "auth_api_keys_empty"),
        (
            "reconciliation",
            {"APP_ENV": "PROD ", "STORAGE_MODE": "", "AUTH_REQUIRE_JWT_IN_PROD": ""},
            "auth_mode_must_be_jwt_in_prod, storage_not_shared_fs",
        ),
        (
            "stt",
            {"STT_PROVIDER": "", "WHISPER_MODEL_SIZE": "no-such-model"},
            "model_missing",
        ),
        ("api", {"REDIS_URL": f"redis://:{SECRET}@127.0.0.1:1/0"}, "redis_failed"),
    ],
)
async def test_an_unsafe_production_ends_with_the_codes_in_one_line(
    agents: Agents, role: str, changes: dict[str, str], codes: str
) -> None:
    (agent,) = agents.make_apart([role], **(SAFE | changes))
    assert await ended(agent) == 1
    assert last_line(agent) == f"interview-agent: startup readiness failed: {codes}"
    (event,) = events(agent, "startup_readiness_failed")
    told = {each["code"] for each in event["issues"] if each["severity"] == "error"}
    assert told == set(codes.split(", "))
    assert "Traceback" not in agent.log
    assert SECRET not in agent.log
    assert KEY not in agent.log


async def test_a_safe_production_starts_and_says_what_is_worth_a_look(agents: Agents) -> None:
    for agent in agents.make_apart(["api", "worker"], **SAFE):
        await agent.start()
        assert await agent.get("/ready") == {"ready": True, "issues": []}
        (event,) = events(agent, "startup_readiness_ok")
        assert event["warnings"] == ["stt_mock_in_prod", "mock_connector_in_prod"]
        assert await agent.stop() == 0


async def test_without_the_guard_an_unsafe_production_is_reported_and_lets_nobody_in(
    agents: Agents,
) -> None:
    changes = {"AUTH_MODE": "none", "READINESS_FAIL_FAST_IN_PROD": "false"}
    api, worker = agents.make_apart(["api", "worker"], **(SAFE | changes))
    for agent in (api, worker):
        await agent.start()
        (event,) = events(agent, "startup_readiness_failed")
        assert "auth_none_in_prod" in {each["code"] for each in event["issues"]}
        assert (await agent.get("/ready"))["ready"] is True
    assert (await api.call("GET", "/v1/meetings"))[0] == 401
    assert (await api.call("POST", "/v1/meetings/start", {}))[0] == 401
    for agent in (api, worker):
        assert await agent.stop() == 0


async def test_development_starts_whatever_is_wrong_and_reports_it(agents: Agents) -> None:
    changes = {"MEETING_CONNECTOR_PROVIDER": "sberjazz", "APP_ENV": "test"}
    (agent,) = agents.make_apart(["api"], **(SAFE | changes))
    await agent.start()
    (event,) = events(agent, "startup_readiness_failed")
    assert "sberjazz_api_base_empty" in {each["code"] for each in event["issues"]}
    assert await agent.stop() == 0
