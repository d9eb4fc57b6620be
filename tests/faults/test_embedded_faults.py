"""The embedded servers die under ingest: they are started again and the service goes on."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

from fault_driver import Driver
from fault_oracle import settled, temporaries
from fault_servers import children_named

if TYPE_CHECKING:
    from machine_pace import Pace
    from running_agents import Agents


async def test_embedded_servers_killed_under_ingest_are_started_again(
    agents: Agents, pace: Pace
) -> None:
    """F07, F22 on the default installation: 503 meanwhile, the process stays, nothing is lost."""
    agent = agents.make(STT_PROVIDER="mock", MEETING_QUIET_SEC="60")
    await agent.start()
    async with Driver(lambda: agent.address, ["a", "b"], pace_s=0.01) as driver:
        for name in ("postgres", "valkey-server", "postgres"):
            await driver.until_ok(30)
            os.kill(children_named(agent.pid, name)[0], signal.SIGKILL)
            killed_s = time.monotonic()
            if name == "postgres":
                await driver.until_refused()
            await driver.until_ok(30)
            assert driver.journal.first_ok_after(killed_s + 0.1) < pace.slowed(8)
    assert {each.code for each in driver.journal.refusals} == {"db_error"}
    assert max(each.took_s for each in driver.journal.refusals) < pace.slowed(3)
    await settled(agent, driver.journal)
    stored = 0
    for meeting_id in ("a", "b"):
        found = await agent.get(f"/v1/meetings/{meeting_id}/chunks")
        (track,) = found["tracks"]
        stored += len(track["chunks"])
        segments = (await agent.get(f"/v1/meetings/{meeting_id}/segments?limit=1000"))["segments"]
        assert [each["raw_text"] for each in segments] == [
            f"mock_transcript bytes={1_000 + each['seq']} sr=16000" for each in track["chunks"]
        ]
    assert len(driver.journal.ok) <= stored <= len(driver.journal.ok | driver.journal.unknown)
    assert temporaries(Path(agent.environment["DATA_DIR"]) / "chunks") == []
    assert await agent.stop() == 0
