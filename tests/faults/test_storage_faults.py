"""The disk is full, read-only or gone: what cannot be made durable is not acknowledged."""

from __future__ import annotations

import base64
import io
import resource
import time
from typing import TYPE_CHECKING, Any

from fault_driver import Driver
from fault_oracle import judge, settled, temporaries

if TYPE_CHECKING:
    from machine_pace import Pace
    from running_agents import Agent, Agents

MOCK = {"STT_PROVIDER": "mock", "MEETING_QUIET_SEC": "60"}
LIMIT_BYTES = 400_000
LARGE = bytes(600_000)


async def try_chunk(agent: Agent, seq: int, body: bytes) -> tuple[int, Any]:
    content = {"seq": seq, "content_b64": base64.b64encode(body).decode()}
    return await agent.call("POST", "/v1/meetings/m/chunks", content)


async def test_a_full_disk_refuses_and_the_same_chunk_is_taken_once_there_is_room(
    agents: Agents, pace: Pace
) -> None:
    """F14, F15: a write that fails in the middle is a 503 and leaves nothing."""
    (agent,) = agents.make_apart(["all"], **MOCK)
    await agent.start()
    blob_dir = agents.blob_dir
    hard = resource.prlimit(agent.pid, resource.RLIMIT_FSIZE)[1]
    resource.prlimit(agent.pid, resource.RLIMIT_FSIZE, (LIMIT_BYTES, hard))
    asked_s = time.monotonic()
    status, said = await try_chunk(agent, 0, LARGE)
    assert time.monotonic() - asked_s < pace.slowed(3)
    assert (status, said["detail"]["code"]) == (503, "storage_error")
    status, said = await agent.call(
        "POST",
        "/v1/meetings/m/recording",
        data=io.BytesIO(LARGE),
        headers={"Content-Type": "audio/wav"},
    )
    assert (status, said["detail"]["code"]) == (503, "storage_error")
    assert temporaries(blob_dir) == []
    assert list(blob_dir.rglob("*.bin")) == []
    assert (await agent.call("GET", "/v1/meetings/m/chunks"))[0] == 404
    assert (await try_chunk(agent, 1, b"small"))[0] == 200
    resource.prlimit(agent.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, hard))
    status, said = await try_chunk(agent, 0, LARGE)
    assert (status, said["duplicate"]) == (200, False)
    assert len(list(blob_dir.rglob("0000000000-*.bin"))) == 1
    assert await agent.stop() == 0


async def test_a_folder_of_audio_that_goes_away_is_missed_and_found_again(
    agents: Agents, dsn: str, pace: Pace
) -> None:
    """F18: nothing is written beside the share, and what was stored is not called lost."""
    (agent,) = agents.make_apart(["all"], **MOCK)
    await agent.start()
    blob_dir = agents.blob_dir
    away = blob_dir.with_name("away")
    async with Driver(lambda: agent.address, ["a", "b"], pace_s=0.02) as driver:
        await driver.until_ok(20)
        for mount_point_stays in (False, True):
            blob_dir.rename(away)
            if mount_point_stays:
                blob_dir.mkdir()
            await driver.until_refused(10)
            assert (await agent.call("GET", "/ready"))[0] == 503
            if mount_point_stays:
                assert list(blob_dir.iterdir()) == []
                blob_dir.rmdir()
            away.rename(blob_dir)
            back_s = time.monotonic()
            await driver.until_ok(10)
            assert driver.journal.first_ok_after(back_s) < pace.slowed(5)
    assert {each.code for each in driver.journal.refusals} == {"storage_error"}
    assert all(
        each.took_s < pace.slowed(3) and each.retry_after for each in driver.journal.refusals
    )
    await settled(agent, driver.journal)
    assert await judge(dsn, blob_dir, driver.journal)
    assert temporaries(blob_dir) == []
    assert await agent.stop() == 0


async def test_a_process_does_not_start_beside_the_share_and_goes_on_once_it_is_back(
    agents: Agents,
) -> None:
    """F18: an empty mount point at the start is not taken for a new installation."""
    (agent,) = agents.make_apart(["all"], **MOCK)
    await agent.start()
    assert (await try_chunk(agent, 0, b"before"))[0] == 200
    assert await agent.stop() == 0
    blob_dir = agents.blob_dir
    away = blob_dir.with_name("away")
    blob_dir.rename(away)
    blob_dir.mkdir()
    await agent.launch()
    assert await agent.ended() == 1
    assert "(storage_not_mounted)" in agent.log.splitlines()[-1]
    assert list(blob_dir.iterdir()) == []
    blob_dir.rmdir()
    away.rename(blob_dir)
    await agent.start()
    assert (await try_chunk(agent, 1, b"after"))[0] == 200
    await agent.call("POST", "/v1/meetings/m/finish")
    assert "bytes=6" in (await agent.until_done("m"))["raw_transcript"]
    assert await agent.stop() == 0
