"""The commands of docker-compose.yml, as processes with the environment that compose gives them."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


async def test_four_lines_bring_every_service_up_in_order_and_one_meeting_through(
    tmp_path: Path,
) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text(
        "APP_ENV=dev\nAUTH_MODE=api_key\nAPI_KEYS=dev-user-key\nSERVICE_API_KEYS=dev-service-key\n"
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, ROOT / "scripts" / "compose_local.py", "--check"),
        *("--env-file", env_file),
        cwd=tmp_path,
        # The one difference: what a mock hears takes seconds instead of half a minute.
        env={name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        | {"STT_PROVIDER": "mock"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(240):
        output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    lines = output.decode().splitlines()
    healthy = [line.partition(":")[0] for line in lines if ": healthy after " in line]
    assert set(healthy[:2]) == {"postgres", "redis"}
    assert healthy[2] == "api"
    assert set(healthy[3:]) == {"worker", "reconciliation"}
    assert any(line.startswith("e2e smoke OK") for line in lines)
    assert lines[-1] == "all services ended well"
