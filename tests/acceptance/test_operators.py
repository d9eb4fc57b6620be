"""Operators at a running service: what failed is brought back, what was asked leaves its trace."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import aiohttp
import asyncpg
from yarl import URL

if TYPE_CHECKING:
    from running_agents import Agent, Agents

SERVICE = {"X-API-Key": "operator-key"}
SETTINGS = {"STT_PROVIDER": "mock", "SERVICE_API_KEYS": SERVICE["X-API-Key"]}
REFUSE = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'refused'; END $$;
CREATE TRIGGER refuse BEFORE INSERT ON segments FOR EACH ROW
    WHEN (NEW.raw_text LIKE '%bytes=13 %') EXECUTE FUNCTION refuse();
"""
ODD_PATHS = (
    "/" + "a" * 300,
    "/" + "b" * 7_000,
    "/%00",
    "/%0d%0aX:%20y",
    "/%1b[31m",
    "/%22%2C%22",
    "/%F0%9F%91%A9",
    "/%ff%fe",
    "/%E2%80%AE",
    "/%ED%A0%80",
)


async def operate(agent: Agent, method: str, path: str, body: Any = None) -> Any:
    status, content = await agent.call(method, f"/v1/admin/{path}", body, headers=SERVICE)
    assert status == 200, content
    return content


async def hurry(connection: asyncpg.Connection) -> None:
    """Shorten every back-off."""
    while True:
        await connection.execute(
            "UPDATE stage_work SET due_at = now() WHERE due_at > now() AND reason IS NOT NULL"
        )
        await asyncio.sleep(0.1)


async def test_a_chunk_that_was_given_up_on_is_redriven_into_the_next_version(
    agents: Agents, dsn: str
) -> None:
    (agent,) = agents.make_apart(["all"], **SETTINGS)
    await agent.start()
    connection = await asyncpg.connect(dsn)
    await connection.execute(REFUSE)
    hurrying = asyncio.create_task(hurry(connection))
    for seq, size in enumerate((12, 13, 14)):
        await agent.send("m", seq, b"x" * size)
    await agent.call("POST", "/v1/meetings/m/finish")
    first = await agent.until_done("m", 60)
    hurrying.cancel()
    await asyncio.gather(hurrying, return_exceptions=True)
    # With this mock all chunks of a step share the fate of one: the first is taken for the cause.
    lost = [each["seq"] for each in first["failed_chunks"]]
    listed = (await operate(agent, "GET", "dlq"))["items"]
    assert sorted(each["seq"] for each in listed) == lost
    assert 1 in lost
    assert "bytes=13 " not in first["raw_transcript"]
    place = {"stage": "stt", "meeting_id": "m", "track": "main"}
    await connection.execute("DROP TRIGGER refuse ON segments")
    await connection.close()
    handled = await operate(agent, "POST", "dlq/redrive", place)
    assert handled["chunks"] == len(lost)
    done = await agent.until("m", lambda found: found["version"] == first["version"] + 1)
    assert done["failed_chunks"] == []
    for size in (12, 13, 14):
        assert f"bytes={size} " in done["raw_transcript"]
    assert (await operate(agent, "GET", "dlq"))["items"] == []
    assert await agent.stop() == 0
    # The last act is kept too, though the process ended right after it.
    connection = await asyncpg.connect(dsn)
    reasons = await connection.fetch(
        "SELECT reason FROM security_audit_events WHERE auth_type = 'service_api_key' ORDER BY id"
    )
    await connection.close()
    assert "service_auth_write:service_api_key:dlq_redrive:stt:main" in [r[0] for r in reasons]
    assert len(reasons) == 3


async def test_odd_refusals_are_valid_lines_of_json_and_rows_of_their_own(agents: Agents) -> None:
    (agent,) = agents.make_apart(["api"], **SETTINGS)
    await agent.start()
    async with aiohttp.ClientSession(headers={"X-API-Key": "acceptance-key"}) as http:
        for path in ODD_PATHS:
            url = URL(f"{agent.address}/v1/admin/meetings{path}/stages", encoded=True)
            async with http.get(url) as answer:
                assert answer.status == 403, path
    events: list[Any] = []
    async with asyncio.timeout(10):
        while len(events) < len(ODD_PATHS):
            events = (await operate(agent, "GET", "security/audit?outcome=deny"))["events"]
            await asyncio.sleep(0.05)
    assert len({each["endpoint"] for each in events}) == len(ODD_PATHS)
    assert await agent.stop() == 0
    lines = [json.loads(line) for line in agent.log.splitlines()]
    denied = [line["endpoint"] for line in lines if line["msg"] == "security_audit_deny"]
    assert denied == [each["endpoint"] for each in reversed(events)]
