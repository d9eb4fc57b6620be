"""Processes are killed, told to end, and frozen beyond their leases."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg

from fault_driver import Driver
from fault_oracle import judge, settled
from fault_servers import children_named, frozen, tree

if TYPE_CHECKING:
    from machine_pace import Pace
    from running_agents import Agents

MOCK = {"STT_PROVIDER": "mock", "MEETING_QUIET_SEC": "60"}
SAMPLE = Path(__file__).resolve().parents[2] / "config" / "sample" / "interview_en.stereo.wav"


async def until_signals_are_heard(pid: int) -> None:
    """Wait until the process has a handler of its own for SIGTERM."""
    async with asyncio.timeout(20):
        while True:
            status = Path(f"/proc/{pid}/status").read_text()
            caught = next(line for line in status.splitlines() if line.startswith("SigCgt"))
            if int(caught.split()[1], 16) & 1 << (signal.SIGTERM - 1):
                return
            await asyncio.sleep(0.01)


def speech_runs(found: Any) -> bool:
    return any(s["stage"] == "stt" and s["state"] == "running" for s in found["stages"])


async def test_an_api_killed_under_load_keeps_every_acknowledgement(
    agents: Agents, dsn: str, pace: Pace
) -> None:
    """F01: kill -9 again and again; ready again within seconds."""
    api, worker = agents.make_apart(["api", "worker"], **MOCK)
    await asyncio.gather(api.start(), worker.start())
    async with Driver(lambda: api.address, ["a", "b", "c"], clients=12) as driver:
        for _ in range(3):
            await driver.until_ok(60)
            await api.kill()
            started_s = time.monotonic()
            await api.start()
            assert time.monotonic() - started_s < pace.slowed(10)
        await driver.until_ok(60)
    assert driver.journal.unknown
    await settled(api, driver.journal)
    assert await judge(dsn, agents.blob_dir, driver.journal)
    assert await api.stop() == await worker.stop() == 0


async def test_a_stop_under_load_is_graceful_whatever_the_role(
    agents: Agents, dsn: str, pace: Pace
) -> None:
    """F40: exit code 0, nothing acknowledged is lost, no lease is left to run out."""
    api, worker = agents.make_apart(["api", "worker"], **MOCK)
    await asyncio.gather(api.start(), worker.start())
    async with Driver(lambda: api.address, ["a", "b", "c"], clients=12) as driver:
        for agent in (worker, api, worker, api):
            await driver.until_ok(40)
            asked_s = time.monotonic()
            assert await agent.stop() == 0
            assert time.monotonic() - asked_s < pace.slowed(10)
            if agent is worker:
                connection = await asyncpg.connect(dsn)
                leases = await connection.fetchval(
                    "SELECT count(*) FROM stage_work WHERE lease_until IS NOT NULL"
                )
                await connection.close()
                assert leases == 0
            await agent.start()
        await driver.until_ok(40)
    assert all(each.retry_after for each in driver.journal.refusals)
    await settled(api, driver.journal)
    assert await judge(dsn, agents.blob_dir, driver.journal)


async def test_a_second_signal_and_an_interrupt_end_the_process(agents: Agents) -> None:
    """F41: SIGINT is graceful as well; a second signal ends everything at once."""
    agent = agents.make(STT_PROVIDER="mock")
    for number in (signal.SIGINT, signal.SIGTERM):
        await agent.start()
        agent.signal(number)
        assert await agent.ended(15) == 0
    await agent.start()
    family = tree(agent.pid)
    with frozen(children_named(agent.pid, "valkey-server") or family[1:2]):
        agent.signal(signal.SIGTERM)
        await asyncio.sleep(0.3)
        agent.signal(signal.SIGTERM)
        assert await agent.ended(2) != 0
    async with asyncio.timeout(10):
        while any(Path(f"/proc/{pid}/cwd").exists() for pid in family[1:]):
            await asyncio.sleep(0.05)


BROKEN_OFF = (
    (signal.SIGTERM, 0.0),
    (signal.SIGINT, 0.4),
    (signal.SIGKILL, 0.9),
    (signal.SIGKILL, 1.4),
    (signal.SIGTERM, 1.9),
)


async def test_a_start_that_is_broken_off_at_any_moment_can_be_repeated(
    agents: Agents, pace: Pace
) -> None:
    """F41: while libraries load, the cluster is made, the schema is migrated."""
    agent = agents.make(name="данные с пробелом " + "x" * 160, STT_PROVIDER="mock")
    for number, delay_s in BROKEN_OFF:
        await agent.launch()
        await until_signals_are_heard(agent.pid)
        await asyncio.sleep(delay_s)
        agent.signal(number)
        asked_s = time.monotonic()
        code = await agent.ended(20)
        assert time.monotonic() - asked_s < pace.slowed(8)
        assert code == (-9 if number is signal.SIGKILL else 0), agent.log[-3000:]
        assert "Traceback" not in agent.log
    await agent.start()
    assert (await agent.get("/ready"))["ready"] is True
    assert await agent.stop() == 0


async def test_a_frozen_worker_is_replaced_and_its_late_results_are_fenced(
    agents: Agents, dsn: str
) -> None:
    """F31: paused beyond its lease in mid-speech, then resumed: nothing is heard twice."""
    api, first, second = agents.make_apart(
        ["api", "stt,analytics", "worker"], WHISPER_LANGUAGE="en", WHISPER_THREADS="1"
    )
    await asyncio.gather(api.start(), first.start())
    await api.record("m", SAMPLE, split_channels="true", channels="2", finish="true")

    await api.until("m", speech_runs)
    with frozen([first.pid]):
        await second.start()
        done = await api.until_done("m", 120)
    text = done["raw_transcript"]
    async with asyncio.timeout(20):
        while "lease_lost" not in first.log:
            await asyncio.sleep(0.1)
    after = await api.get("/v1/meetings/m")
    assert after["raw_transcript"] == text
    assert after["version"] == done["version"] == 1
    for phrase in ("good morning", "compared", "refunds", "staging copy"):
        assert text.lower().count(phrase) == 1
    assert [await each.stop() for each in (first, second, api)] == [0, 0, 0]


async def test_a_stop_in_mid_speech_takes_no_more_audio_and_hands_its_work_back_at_once(
    agents: Agents, dsn: str, pace: Pace
) -> None:
    """F40: what does not end within the grace is handed back; nobody waits for a lease."""
    (agent,) = agents.make_apart(
        ["all"], WHISPER_LANGUAGE="en", SHUTDOWN_GRACE_SEC="2", WHISPER_THREADS="1"
    )
    await agent.start()
    await agent.record("m", SAMPLE, split_channels="true", channels="2", finish="true")
    await agent.until("m", speech_runs)
    agent.signal(signal.SIGTERM)
    asked_s = time.monotonic()
    await asyncio.sleep(0.5)
    chunk = {"seq": 1, "content_b64": "AAAA"}
    status, said = await agent.call("POST", "/v1/meetings/other/chunks", chunk)
    assert (status, said["detail"]["code"]) == (503, "backpressure")
    assert (await agent.call("GET", "/ready"))[0] == 503
    assert await agent.ended() == 0
    assert time.monotonic() - asked_s < pace.slowed(8)
    connection = await asyncpg.connect(dsn)
    rows = await connection.fetch("SELECT * FROM stage_work WHERE stage = 'stt'")
    await connection.close()
    assert [(row["lease_until"], row["attempts"], row["failed"]) for row in rows] == [
        (None, 0, False)
    ] * 2
    await agent.start()
    done = await agent.until_done("m", 120)
    assert done["raw_transcript"].lower().count("good morning") == 1


async def test_a_dead_database_at_start_is_waited_for_until_a_signal(
    agents: Agents, pace: Pace
) -> None:
    """A signal during the wait ends it at once, with exit code 0 and no traceback."""
    (api,) = agents.make_apart(["api"], **MOCK, POSTGRES_DSN="postgresql://nobody@127.0.0.1:1/none")
    await api.launch()
    await asyncio.sleep(4)
    assert Path(f"/proc/{api.pid}").exists()
    api.signal(signal.SIGTERM)
    asked_s = time.monotonic()
    assert await api.ended() == 0
    assert time.monotonic() - asked_s < pace.slowed(1)
    assert "Traceback" not in api.log


async def test_two_processes_that_finish_one_meeting_make_one_report(agents: Agents) -> None:
    first, second = agents.make_apart(["all", "all"], **MOCK)
    await asyncio.gather(first.start(), second.start())
    for seq in range(5):
        await first.send("m", seq, b"x" * (100 + seq))
    answers = await asyncio.gather(
        *(each.call("POST", "/v1/meetings/m/finish") for each in (first, second) * 4)
    )
    assert {status for status, _ in answers} == {202}
    done = await first.until_done("m")
    await asyncio.sleep(3)
    assert (await second.get("/v1/meetings/m"))["version"] == done["version"] == 1
    assert [await each.stop() for each in (first, second)] == [0, 0]
