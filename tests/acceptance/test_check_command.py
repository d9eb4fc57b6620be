"""`interview-agent check` tells an operator what a start would find, and starts nothing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from fake_sberjazz import FakeGateway, serve
from production_settings import SAFE, SECRET
from running_agents import run_to_end

if TYPE_CHECKING:
    from pathlib import Path

    from machine_pace import Pace
    from running_agents import Agents


async def check(folder: Path, **environment: str) -> tuple[int, str]:
    """Return the exit code and all that was printed."""
    words = ("-m", "interview_agent", "check")
    return await run_to_end(*words, folder=folder, **environment)


async def test_with_nothing_set_it_says_what_is_embedded_and_leaves_nothing_behind(
    tmp_path: Path,
) -> None:
    code, printed = await check(tmp_path)
    assert code == 0, printed
    assert "ready; errors: 0" in printed
    assert "PostgreSQL is embedded" in printed
    assert "Redis is embedded" in printed
    assert list(tmp_path.iterdir()) == []


async def test_servers_that_do_not_answer_are_findings_with_their_mend(
    tmp_path: Path, pace: Pace
) -> None:
    began_s = time.monotonic()
    code, printed = await check(
        tmp_path,
        **SAFE,
        POSTGRES_DSN=f"postgresql://u:{SECRET}@127.0.0.1:1/d",
        REDIS_URL=f"redis://:{SECRET}@127.0.0.1:1/0",
    )
    assert time.monotonic() - began_s < pace.slowed(40)
    assert code == 1
    for code_found in ("database_failed", "redis_failed", "storage_not_shared_fs"):
        assert f"ERROR    {code_found} " in printed
    assert "Check that it runs, and that POSTGRES_DSN is right." in printed
    assert SECRET not in printed
    assert "Traceback" not in printed
    assert list(tmp_path.iterdir()) == []


async def test_the_gateway_is_asked_and_found_wanting(tmp_path: Path) -> None:
    async with serve(FakeGateway(token=SECRET)) as gateway:
        asked = {
            "MEETING_CONNECTOR_PROVIDER": "sberjazz",
            "SBERJAZZ_API_BASE": gateway.address,
            "SBERJAZZ_API_TOKEN": SECRET,
        }
        gateway.health_status = "down"
        code, printed = await check(tmp_path, **asked)
        assert code == 0
        assert "WARNING  sberjazz_startup_probe_failed " in printed
    code, printed = await check(tmp_path, **SAFE, **asked)
    assert code == 1
    assert "ERROR    sberjazz_startup_probe_error " in printed
    assert SECRET not in printed


async def test_it_agrees_with_a_running_installation_and_notices_a_share_that_is_away(
    agents: Agents, tmp_path: Path
) -> None:
    (agent,) = agents.make_apart(["api"], **SAFE)
    environment = {**agent.environment, "DATA_DIR": str(tmp_path / "elsewhere")}
    code, printed = await check(tmp_path, **environment)
    assert (code, "holds no audio yet" in printed) == (0, True), printed
    await agent.start()
    assert await agent.stop() == 0
    code, printed = await check(tmp_path, **environment)
    assert code == 0, printed
    assert "no audio yet" not in printed
    agents.blob_dir.rename(tmp_path / "away")
    agents.blob_dir.mkdir()
    code, printed = await check(tmp_path, **environment)
    assert code == 1
    assert "ERROR    storage_not_mounted " in printed
    assert list(agents.blob_dir.iterdir()) == []
