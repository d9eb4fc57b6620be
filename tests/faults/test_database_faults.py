"""PostgreSQL stops, is killed, hangs and drops its sessions under the feet of the service."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import TYPE_CHECKING, Any

import asyncpg

from fault_driver import Driver
from fault_oracle import judge, settled, temporaries
from fault_servers import frozen, tree

if TYPE_CHECKING:
    from fault_servers import OwnServers
    from machine_pace import Pace
    from running_agents import Agents

MOCK = {"STT_PROVIDER": "mock", "MEETING_QUIET_SEC": "60"}


async def test_an_outage_is_answered_with_503_and_healed_without_a_restart(
    own: OwnServers, pace: Pace
) -> None:
    """F22: honest refusals within 3 s, accepted again within 5 s, nothing lost or burnt."""
    (agent,) = own.agents.make_apart(["all"], **MOCK)
    await agent.start()
    async with Driver(lambda: agent.address, ["a", "b"], pace_s=0.02) as driver:
        await driver.until_ok(20)
        await own.postgres.stop()
        await driver.until_refused(20)
        assert (await agent.call("GET", "/ready"))[0] == 503
        assert await agent.get("/health") == {"ok": True}
        await asyncio.sleep(1)
        await own.postgres.start()
        back_s = time.monotonic()
        await driver.until_ok(20)
        for _ in range(3):
            os.kill(own.postgres.pid, signal.SIGQUIT)
            await driver.until_refused()
            await own.postgres.stop()
            await own.postgres.start()
            await driver.until_ok(10)
    assert driver.journal.first_ok_after(back_s) < pace.slowed(5)
    assert max(each.took_s for each in driver.journal.refusals) < pace.slowed(3)
    assert {each.code for each in driver.journal.refusals} == {"db_error"}
    assert all(each.retry_after for each in driver.journal.refusals)
    await settled(agent, driver.journal)
    assert await judge(own.postgres.address, own.blob_dir, driver.journal)
    assert temporaries(own.blob_dir) == []
    assert await agent.stop() == 0


async def test_sessions_that_are_cut_at_any_moment_double_and_lose_nothing(
    own: OwnServers,
) -> None:
    """F23: a commit whose outcome is unknown is a 503, and the retry finds out."""
    (agent,) = own.agents.make_apart(["all"], **MOCK)
    await agent.start()
    connection = await asyncpg.connect(own.postgres.address)
    async with Driver(lambda: agent.address, ["a", "b", "c"]) as driver:
        ends = time.monotonic() + 5
        while time.monotonic() < ends:
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )
            await asyncio.sleep(0.05)
        await driver.until_ok(20)
    await connection.close()
    assert driver.journal.refusals
    await settled(agent, driver.journal)
    assert await judge(own.postgres.address, own.blob_dir, driver.journal)
    assert await agent.stop() == 0


async def test_a_database_that_hangs_is_not_waited_for(own: OwnServers, pace: Pace) -> None:
    """F24: answered with 503 within 3 s, health is green, and it heals by itself."""
    (agent,) = own.agents.make_apart(["all"], **MOCK)
    await agent.start()
    async with Driver(lambda: agent.address, ["a"], pace_s=0.02) as driver:
        await driver.until_ok(20)
        with frozen(tree(own.postgres.pid)):
            await driver.until_refused(6)
            asked_s = time.monotonic()
            assert await agent.get("/health") == {"ok": True}
            assert time.monotonic() - asked_s < pace.slowed(1)
        back_s = time.monotonic()
        await driver.until_ok(20)
    assert driver.journal.first_ok_after(back_s) < pace.slowed(5)
    assert max(each.took_s for each in driver.journal.refusals) < pace.slowed(3.5)
    await settled(agent, driver.journal)
    assert await judge(own.postgres.address, own.blob_dir, driver.journal)
    assert await agent.stop() == 0


async def test_a_stage_that_always_fails_hides_nothing_that_was_finished(
    agents: Agents, dsn: str
) -> None:
    """A report that cannot be stored is given up on after five tries; the transcript stays."""
    (agent,) = agents.make_apart(["all"], **MOCK)
    await agent.start()
    connection = await asyncpg.connect(dsn)
    await connection.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'refused'; END $$;"
        "CREATE TRIGGER refuse BEFORE INSERT ON reports FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
    await agent.send("m", 0, b"x" * 15)
    await agent.call("POST", "/v1/meetings/m/finish")

    def states(found: Any) -> dict[str, str]:
        return {each["stage"]: each["state"] for each in found["stages"]}

    async def hurry() -> None:
        while True:
            await connection.execute(
                "UPDATE stage_work SET due_at = now() WHERE due_at > now() AND reason IS NOT NULL"
            )
            await asyncio.sleep(0.1)

    hurrying = asyncio.create_task(hurry())
    found = await agent.until("m", lambda found: states(found).get("analytics") == "failed", 60)
    hurrying.cancel()
    await asyncio.gather(hurrying, return_exceptions=True)
    assert found["status"] == "failed"
    assert "mock_transcript bytes=15 sr=16000" in found["raw_transcript"]
    assert states(found)["enhancer"] == "done"
    tries = await connection.fetchval("SELECT attempts FROM stage_work WHERE stage = 'analytics'")
    assert tries == 5
    await connection.execute("DROP TRIGGER refuse ON reports")
    await connection.close()
    await agent.send("m", 1, b"x" * 16)
    await agent.call("POST", "/v1/meetings/m/finish")
    done = await agent.until_done("m")
    assert done["version"] == 1
    assert await agent.stop() == 0
