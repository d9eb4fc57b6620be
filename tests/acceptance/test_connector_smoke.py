"""`make connector-real-smoke` refuses what is not real, and judges a gateway by what it does."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from fake_sberjazz import FakeGateway, Fault, Voice, serve

SCRIPT = Path(__file__).parents[2] / "scripts" / "connector_real_smoke.py"
LINK = "https://salutejazz.ru/calls/abc?psw=hunter2"
REAL = {
    "SBERJAZZ_API_BASE": "http://127.0.0.1:1",
    "SBERJAZZ_API_TOKEN": "t0ken",
    "SBERJAZZ_SMOKE_JOIN_URL": LINK,
    "SBERJAZZ_SMOKE_CONSENT": "granted",
    "SBERJAZZ_SMOKE_SECONDS": "3",
}


async def run(folder: Path, **environment: str) -> tuple[int | None, str]:
    """Run the script and return its exit code and all that it said."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(SCRIPT)),
        cwd=folder,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(90):
        output, _ = await process.communicate()
    return process.returncode, output.decode()


@pytest.mark.parametrize(
    "missing",
    [
        "SBERJAZZ_API_BASE",
        "SBERJAZZ_API_TOKEN",
        "SBERJAZZ_SMOKE_JOIN_URL",
        "SBERJAZZ_SMOKE_CONSENT",
    ],
)
async def test_it_refuses_to_run_without_what_it_names(tmp_path: Path, missing: str) -> None:
    environment = {name: value for name, value in REAL.items() if name != missing}
    code, said = await run(tmp_path, **environment)
    assert code == 2
    assert said.startswith("refused: not set: ")
    assert [name for name in REAL if name in said] == [missing]
    assert "hunter2" not in said


async def test_it_refuses_a_link_that_leads_elsewhere(tmp_path: Path) -> None:
    link = {"SBERJAZZ_SMOKE_JOIN_URL": "https://example.com/hunter2"}
    code, said = await run(tmp_path, **{**REAL, **link})
    assert code == 2
    assert "SBERJAZZ_JOIN_HOSTS" in said
    assert "hunter2" not in said


async def test_a_gateway_that_keeps_its_contract_passes_and_is_left(tmp_path: Path) -> None:
    voice = Voice("p-anna", "Anna", b"\0\1" * 16_000 * 10)
    async with serve(FakeGateway([voice], token="t0ken")) as fake:
        code, said = await run(tmp_path, **{**REAL, "SBERJAZZ_API_BASE": fake.address})
        assert code == 0, said
        assert "p-anna: " in said
        assert "PASS" in said
        assert "this says nothing of SaluteJazz" in said
        assert "hunter2" not in said
        assert len(fake.bots()) == 1
        assert fake.active_bots() == []


async def test_what_a_gateway_does_wrong_is_named_and_its_bot_called_back(tmp_path: Path) -> None:
    async with serve(FakeGateway(token="t0ken")) as fake:
        fake.keeps_keys = False
        fake.break_next("live-chunks", Fault("html", times=0))
        code, said = await run(tmp_path, **{**REAL, "SBERJAZZ_API_BASE": fake.address})
        assert code == 1, said
        assert "connector_invalid_response" in said
        assert fake.active_bots() == []
