"""A deletion goes through whatever is killed, and nothing under way brings anything back."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import signal
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncpg
from redis.asyncio import Redis

from traces import files_with, keys_with, rows_with

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from fault_servers import OwnServers
    from running_agents import Agent, Agents

MOCK = {"STT_PROVIDER": "mock", "MEETING_QUIET_SEC": "60"}
SENTENCE = "the blue heron nests in cell nine"
SOUND = b"a planted sound " * 100
SAID = f"bytes={len(SOUND)} "
"""What the mock makes of that sound, in every transcript and report."""

DIGEST = hashlib.sha256(SOUND).hexdigest()
CHUNKS = 250
"""More than a batch."""


async def fill(agent: Agent, meeting_id: str, count: int) -> None:
    """Start a meeting full of secrets and send its audio."""
    status, said = await agent.call(
        "POST",
        "/v1/meetings/start",
        {
            "meeting_id": meeting_id,
            "context": {"participants": [{"track": "main", "name": SENTENCE}]},
            "recipients": [f"{SENTENCE.split()[2]}@example.com"],
        },
    )
    assert status == 200, said
    for first in range(0, count, 50):
        async with asyncio.TaskGroup() as group:
            for seq in range(first, min(first + 50, count)):
                group.create_task(agent.send(meeting_id, seq, SOUND, speaker_hint=SENTENCE))


async def report(agent: Agent, meeting_id: str) -> None:
    await agent.call("POST", f"/v1/meetings/{meeting_id}/finish")
    done = await agent.until_done(meeting_id)
    assert SAID in done["raw_transcript"]
    assert SENTENCE in done["raw_transcript"]


async def delete(agent: Agent, meeting_id: str) -> None:
    status, said = await agent.call("DELETE", f"/v1/meetings/{meeting_id}")
    assert status == 202, said
    assert (await agent.call("GET", f"/v1/meetings/{meeting_id}"))[0] == 404


async def attend(connection: asyncpg.Connection, meeting_id: str) -> None:
    """Let a bot be in the meeting."""
    await connection.execute(
        "INSERT INTO connector_sessions (meeting_id, provider, state, wanted, epoch, join_url)"
        " VALUES ($1, 'sberjazz_mock', 'active', true, 1, $2)",
        meeting_id,
        SENTENCE,
    )
    await connection.execute(
        "INSERT INTO connector_tracks (meeting_id, participant_id, track, name, epoch, base_seq)"
        " VALUES ($1, 'p', 'p-1', $2, 1, 0)",
        meeting_id,
        SENTENCE,
    )


async def until_finished(agent: Agent, meeting_id: str) -> None:
    """Wait until the service says that nothing is left."""
    async with asyncio.timeout(60):
        while (await agent.call("DELETE", f"/v1/meetings/{meeting_id}"))[0] != 200:
            await asyncio.sleep(0.1)


async def traces(dsn: str, folders: list[Path]) -> dict[str, set[str]]:
    """Return where the secrets are found: tables by secret, and files."""
    found = await rows_with(dsn, [SENTENCE, SAID, "heron@", DIGEST])
    found["files"] = set(files_with(folders, [SENTENCE.encode(), SOUND]))
    return {secret: places for secret, places in found.items() if places}


@asynccontextmanager
async def blocked(dsn: str, table: str) -> AsyncIterator[None]:
    """Let nobody write a table, and wait until somebody tries to."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(f"BEGIN; LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE")
        watch = await asyncpg.connect(dsn)
        try:
            waiting = "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = $1::regclass"
            async with asyncio.timeout(40):
                while await watch.fetchval(waiting, table) is None:
                    await asyncio.sleep(0.01)
        finally:
            await watch.close()
        yield
    finally:
        connection.terminate()


async def test_a_worker_killed_at_each_step_leaves_nothing_undone(agents: Agents, dsn: str) -> None:
    """S89: after each kill -9 the next worker goes on, and the proof counts everything once."""
    api, worker = agents.make_apart(["api", "worker"], **MOCK)
    await asyncio.gather(api.start(), worker.start())
    await fill(api, "m", CHUNKS)
    await report(api, "m")
    await worker.stop()
    connection = await asyncpg.connect(dsn)
    await attend(connection, "m")
    await delete(api, "m")
    for table in (
        "connector_sessions",
        "deleted_chunks",
        "segments",
        "connector_tracks",
        "tracks",
        "deletions",
    ):
        starting = asyncio.create_task(worker.start())
        async with blocked(dsn, table):
            await worker.kill()
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        # The next one need not wait until the lease of the dead has run out.
        await connection.execute("UPDATE stage_work SET lease_until = now()")
    await worker.start()
    await until_finished(api, "m")
    assert await traces(dsn, [agents.blob_dir]) == {DIGEST: {"deleted_chunks"}}
    proof = await connection.fetchrow(
        "SELECT (counts ->> 'chunks')::int, (counts ->> 'files')::int,"
        " (counts ->> 'bytes')::int, (counts ->> 'segments')::int,"
        " (counts ->> 'connector_tracks')::int, (counts ->> 'connector_sessions')::int,"
        " (counts ->> 'bots_not_called_back')::int,"
        " (SELECT count(*) FROM deleted_chunks) FROM deletions"
    )
    await connection.close()
    assert tuple(proof) == (CHUNKS, CHUNKS, CHUNKS * len(SOUND), CHUNKS, 1, 1, 0, CHUNKS)


async def test_nothing_is_found_anywhere_while_somebody_goes_on_sending(
    agents: Agents, dsn: str
) -> None:
    """I11: tables, files, streams and logs, within a minute, through a kill of the only process."""
    (agent,) = agents.make_apart(["all"], LOG_LEVEL="DEBUG", **MOCK)
    await agent.start()
    await fill(agent, "reported", 20)
    await report(agent, "reported")
    await fill(agent, "m", 20)
    redis_url = agent.environment["REDIS_URL"]
    valkey = Redis.from_url(redis_url)
    await valkey.xadd("q:stt:dlq", {"meeting": "m", "track": "main", "reason": SENTENCE})
    await valkey.aclose()
    assert set(await traces(dsn, [agents.blob_dir])) == {SENTENCE, SAID, "heron@", DIGEST, "files"}
    answers: list[tuple[int, Any]] = []

    async def go_on_sending() -> None:
        content = {"content_b64": base64.b64encode(SOUND).decode(), "speaker_hint": SENTENCE}
        for seq in range(100, 10_000):
            path = "/v1/meetings/m/chunks"
            answers.append(await agent.call("POST", path, content | {"seq": seq}))

    sending = [asyncio.create_task(go_on_sending()) for _ in range(3)]
    async with asyncio.timeout(20):
        while len(answers) < 20:
            await asyncio.sleep(0.01)
    asked_s = time.monotonic()
    await delete(agent, "m")
    await delete(agent, "reported")
    before = len(answers)
    async with asyncio.timeout(20):
        while len(answers) < before + 20:
            await asyncio.sleep(0.01)
    for task in sending:
        task.cancel()
    await asyncio.gather(*sending, return_exceptions=True)
    assert answers[0][0] == 200
    assert {(status, said["detail"]["code"]) for status, said in answers[before + 6 :]} == {
        (409, "meeting_gone")
    }
    await agent.kill()
    await agent.start()
    async with asyncio.timeout(60 - (time.monotonic() - asked_s)):
        while await traces(dsn, [agents.blob_dir]) != {DIGEST: {"deleted_chunks"}}:
            await asyncio.sleep(0.2)
    for meeting_id in ("m", "reported"):
        await until_finished(agent, meeting_id)
    assert await traces(dsn, [agents.blob_dir]) == {DIGEST: {"deleted_chunks"}}
    assert await keys_with(redis_url, [SENTENCE, '"reported"', "b'm'"]) == []
    assert SENTENCE not in agent.log
    assert SAID not in agent.log
    assert "meeting_erased" in agent.log
    assert await agent.stop() == 0


async def test_a_database_that_dies_in_the_middle_holds_it_up_and_no_more(
    own: OwnServers,
) -> None:
    (agent,) = own.agents.make_apart(["all"], **MOCK)
    await agent.start()
    await fill(agent, "m", 20)
    await report(agent, "m")
    address = own.postgres.address
    deleting = asyncio.create_task(delete(agent, "m"))
    async with blocked(address, "segments"):
        await deleting
        os.kill(own.postgres.pid, signal.SIGQUIT)
    await own.postgres.stop()
    await own.postgres.start()
    async with asyncio.timeout(60):
        while await traces(address, [own.blob_dir]) != {DIGEST: {"deleted_chunks"}}:
            await asyncio.sleep(0.2)
    assert (await agent.call("GET", "/v1/meetings/m"))[0] == 404
    assert await agent.stop() == 0
