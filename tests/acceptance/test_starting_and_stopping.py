"""How a process starts, refuses to start, and ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from running_agents import Agents


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"WHISPER_MODEL_SIZE": "no-such-model"}, "WHISPER_MODEL_SIZE"),
        ({"APP_ENV": "Prod-eu"}, "POSTGRES_DSN"),
        ({"API_PORT": "seventy"}, "API_PORT"),
        ({"SMTP_HOST": "x", "SMTP_USER": "u", "SMTP_SECURITY": "none"}, "SMTP_SECURITY"),
    ],
)
async def test_a_start_that_cannot_be_says_why_in_one_sentence(
    agents: Agents, environment: dict[str, str], sentence: str
) -> None:
    agent = agents.make(**environment)
    process = await agent.launch()
    assert await process.wait() == 1
    assert sentence in agent.log
    assert "Traceback" not in agent.log


async def test_a_second_start_on_the_same_folder_is_refused(agents: Agents) -> None:
    first = agents.make(STT_PROVIDER="mock")
    second = agents.make("worker", STT_PROVIDER="mock")
    await first.start()
    process = await second.launch()
    assert await process.wait() == 1
    assert "in use" in second.log
    assert (await first.get("/health")) == {"ok": True}
    assert await first.stop() == 0


async def test_variables_for_a_language_model_are_named_once_and_their_values_never(
    agents: Agents,
) -> None:
    given = {"LLM_ENABLED": "true", "OPENAI_API_KEY": "hunter2-do-not-show"}
    agent = agents.make(STT_PROVIDER="mock", **given)
    await agent.start()
    assert await agent.stop() == 0
    [line] = [line for line in agent.log.splitlines() if "settings_ignored" in line]
    assert json.loads(line)["names"] == sorted(given)
    assert "hunter2" not in agent.log


async def test_without_keys_one_is_made_kept_private_and_printed_once(agents: Agents) -> None:
    agent = agents.make(STT_PROVIDER="mock", API_KEYS="")
    for start in range(2):
        process = await agent.launch()
        assert process.stdout is not None
        lines = []
        async for line in process.stdout:
            lines.append(line.decode())
            if "ready at" in lines[-1]:
                agent.address = lines[-1].split()[-1]
                break
        assert any("API key" in line for line in lines) is (start == 0)
        assert (await agent.call("GET", "/v1/meetings"))[0] == 401
        assert await agent.stop() == 0
    kept = Path(agent.environment["DATA_DIR"]) / "api_key"
    assert kept.stat().st_mode & 0o777 == 0o600


async def test_every_role_answers_for_its_health(agents: Agents) -> None:
    roles = ["worker", "reconciliation", "api"]
    for agent in agents.make_apart(roles, STT_PROVIDER="mock"):
        await agent.start()
        assert await agent.get("/health") == {"ok": True}
        assert (await agent.get("/ready"))["ready"] is True
        status, _ = await agent.call("GET", "/v1/meetings")
        assert status == (200 if agent.role == "api" else 404)
        assert await agent.stop() == 0
