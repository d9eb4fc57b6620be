"""What docs/deployment.md says about backups brings everything back, and it goes on from there."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from typing import TYPE_CHECKING, Any

import asyncpg

from interview_agent.adapters.embedded.binaries import find_binaries
from real_servers import database_dsn

if TYPE_CHECKING:
    from pathlib import Path

    from interview_agent.adapters.embedded import EmbeddedAddresses
    from running_agents import Agent, Agents

MEETING = "kept-1"


async def run(*words: str | Path) -> None:
    """Run a program to its end."""
    process = await asyncio.create_subprocess_exec(
        *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    async with asyncio.timeout(60):
        said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()


async def recorded(agent: Agent) -> dict[str, Any]:
    """Bring one meeting to its report; its answer."""
    await agent.send(MEETING, 0, b"first half ")
    await agent.send(MEETING, 1, b"second half ")
    await agent.call("POST", f"/v1/meetings/{MEETING}/finish")
    found: dict[str, Any] = await agent.until(
        MEETING, lambda seen: seen["status"] == "done" and seen["report"] is not None
    )
    return found


async def check_that_it_goes_on(agent: Agent, before: dict[str, Any]) -> None:
    """What was there is there, stored audio is known, and new audio makes the next version."""
    after = await agent.get(f"/v1/meetings/{MEETING}")
    for name in ("status", "raw_transcript", "enhanced_transcript", "report"):
        assert after[name] == before[name], name
    assert (await agent.send(MEETING, 1, b"second half "))["duplicate"] is True
    await agent.send(MEETING, 2, b"after the restore ")
    again = await agent.until(
        MEETING,
        lambda seen: (
            seen["status"] == "done" and len(seen["enhanced_transcript"].splitlines()) == 3
        ),
    )
    assert again["chunks"]["done"] == 3


async def test_a_dump_and_a_later_copy_of_the_audio_bring_everything_back(
    agents: Agents, dsn: str, servers: EmbeddedAddresses, tmp_path: Path
) -> None:
    def from_outside(address: str) -> str:
        return re.sub(r"/proc/self/fd/\d+", str(servers.socket_dir), address)

    (agent,) = agents.make_apart(["all"], STT_PROVIDER="mock", MEETING_QUIET_SEC="2")
    await agent.start()
    before = await recorded(agent)
    programs = find_binaries().postgres.parent
    # While the service runs: the database first, the files that its rows name after it.
    dump = tmp_path / "interview.dump"
    await run(programs / "pg_dump", "--format=custom", f"--file={dump}", from_outside(dsn))
    await run("cp", "-a", agents.blob_dir, tmp_path / "audio-copy")
    await agent.kill()
    shutil.rmtree(agents.blob_dir)

    name = f"restored_{os.getpid()}"
    connection = await asyncpg.connect(servers.postgres_dsn)
    await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()
    restored = from_outside(database_dsn(servers, name))
    await run(
        programs / "pg_restore", "--exit-on-error", "--no-owner", f"--dbname={restored}", dump
    )
    (other,) = agents.make_apart(
        ["all"],
        STT_PROVIDER="mock",
        MEETING_QUIET_SEC="2",
        POSTGRES_DSN=restored,
        STORAGE_SHARED_FS_DIR=str(tmp_path / "audio-copy"),
    )
    await other.start()
    await check_that_it_goes_on(other, before)
    assert await other.stop() == 0


async def test_a_copy_of_the_folder_of_a_stopped_service_is_a_backup(
    agents: Agents, tmp_path: Path
) -> None:
    agent = agents.make(STT_PROVIDER="mock", MEETING_QUIET_SEC="2")
    await agent.start()
    before = await recorded(agent)
    assert await agent.stop() == 0
    await run("cp", "-a", tmp_path / "data", tmp_path / "copy")
    shutil.rmtree(tmp_path / "data")
    other = agents.make(name="copy", STT_PROVIDER="mock", MEETING_QUIET_SEC="2")
    await other.start()
    await check_that_it_goes_on(other, before)
    assert await other.stop() == 0
