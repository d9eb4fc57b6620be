"""The fake gateway run as a process of its own, and its knobs over HTTP."""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest_asyncio
from aiohttp import ClientSession

from fake_sberjazz import FakeGateway, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ROOT = Path(__file__).resolve().parents[2]
SPEECH = ROOT / "tests" / "data" / "libri_2412_0.wav"
MEETING = "/api/v1/meetings/m1"
KNOBS = "/_fake/meetings/m1"


HEADERS = {"Authorization": "Bearer t0ken", "Idempotency-Key": "m1:1"}


@pytest_asyncio.fixture
async def http() -> AsyncIterator[ClientSession]:
    """A client of a gateway in this process."""
    async with (
        serve(FakeGateway(token="t0ken")) as gateway,
        ClientSession(gateway.address, headers=HEADERS) as client,
    ):
        yield client


@asynccontextmanager
async def own_process() -> AsyncIterator[ClientSession]:
    """Run a gateway in which Anna speaks a hundred times as fast as people do."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(ROOT / "scripts" / "fake_gateway.py"), "--port=0", "--pace=100"),
        *(f"--voice=Anna={SPEECH}", "--token=t0ken"),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            line = await process.stdout.readline()
        address = line.decode().split()[-1]
        async with ClientSession(address, headers=HEADERS) as client:
            yield client
    finally:
        process.terminate()
        assert await process.wait() == 0


async def call(http: ClientSession, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    async with http.request(method, path, json=body) as answer:
        return answer.status, await answer.json()


async def test_it_runs_as_a_program_and_lets_people_speak() -> None:
    async with own_process() as http:
        assert (await call(http, "POST", f"{MEETING}/join", {}))[0] == 202
        await call(http, "POST", f"{KNOBS}/voices", {"Anna": str(SPEECH)})
        async with asyncio.timeout(10):
            while not (page := (await call(http, "GET", f"{MEETING}/live-chunks"))[1])["chunks"]:
                await asyncio.sleep(0.01)
        assert page["chunks"][0]["participant"] == {"id": "p-Anna", "name": "Anna"}


async def test_knobs_turn_what_the_gateway_does_and_the_journal_tells_it(
    http: ClientSession,
) -> None:
    await call(http, "POST", f"{MEETING}/join", {})
    await call(http, "POST", "/_fake/faults", {"call": "session", "kind": "status", "status": 503})
    assert (await call(http, "GET", f"{MEETING}/session"))[0] == 503
    await call(http, "POST", "/_fake/faults", {"call": "*", "kind": "status", "times": 0})
    await call(http, "DELETE", "/_fake/faults")

    await call(http, "POST", f"{KNOBS}/participants", {"participants": [{"id": "p-1"}]})
    await call(http, "POST", f"{KNOBS}/delivery", {"delivery": "push"})
    await call(http, "POST", f"{KNOBS}/state", {"state": "ended", "reason": "call_ended"})
    _, session = await call(http, "GET", f"{MEETING}/session")
    assert (session["state"], session["reason"]) == ("ended", "call_ended")
    assert (session["participants"], session["audio"]["delivery"]) == ([{"id": "p-1"}], "push")

    _, told = await call(http, "GET", "/_fake/bots")
    assert [(bot["meeting_id"], bot["alive"]) for bot in told["bots"]] == [("m1", False)]
    _, told = await call(http, "GET", "/_fake/journal")
    sessions = [each["status"] for each in told["requests"] if each["call"] == "session"]
    assert sessions == [503, 200]
    assert "t0ken" not in str(told)


async def test_sound_can_be_put_in_as_it_is_and_cursors_be_forgotten(http: ClientSession) -> None:
    await call(http, "POST", f"{MEETING}/join", {})
    odd = {"id": 5, "content_b64": "?"}
    await call(http, "POST", f"{KNOBS}/chunks", {"chunks": [odd]})
    _, first = await call(http, "GET", f"{MEETING}/live-chunks")
    assert first["chunks"] == [odd]
    cursor = {"cursor": first["next_cursor"]}
    async with http.get(f"{MEETING}/live-chunks", params=cursor) as answer:
        assert (await answer.json())["chunks"] == []
    await call(http, "POST", f"{KNOBS}/reset-cursor")
    async with http.get(f"{MEETING}/live-chunks", params=cursor) as answer:
        assert (await answer.json())["chunks"] == [odd]


async def test_it_can_forget_its_bots_send_too_many_and_speak_the_original_paths(
    http: ClientSession,
) -> None:
    await call(http, "POST", "/_fake/settings", {"keeps_keys": False})
    await call(http, "POST", f"{MEETING}/join", {})
    await call(http, "POST", f"{MEETING}/join", {})
    assert len((await call(http, "GET", "/_fake/bots"))[1]["bots"]) == 2
    await call(http, "POST", f"{KNOBS}/forget")
    status, error = await call(http, "GET", f"{MEETING}/session")
    assert (status, error["error"]["code"]) == (404, "no_session")
    await call(http, "POST", "/_fake/settings", {"old": True, "token": None})
    status, error = await call(http, "GET", f"{MEETING}/session")
    assert (status, error) == (404, {"detail": "Not Found"})
