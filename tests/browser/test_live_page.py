"""The example page, in a real browser with a microphone, against the real service."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer

from captions.words import edits
from cutting_proxy import CuttingProxy
from headless_chromium import EXECUTABLE, Chromium
from running_agents import KEY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from running_agents import Agent, Agents

ROOT = Path(__file__).resolve().parents[2]
SPEECH = ROOT / "tests" / "data" / "libri_2412_0.wav"
REFERENCE = (
    "if the reader will excuse me i will say nothing of my antecedents nor of the circumstances"
    " which led me to leave my native country the narrative would be tedious to him and painful to"
    " myself"
)
SPOKEN_FRAMES = 52
"""The recording lasts 11.7 s; a frame a quarter of a second."""

pytestmark = [
    pytest.mark.skipif(EXECUTABLE is None, reason="no chromium: apt-get install chromium"),
    pytest.mark.slow,
]


@pytest_asyncio.fixture
async def page_address() -> AsyncIterator[str]:
    """The example page, served as its head says."""
    app = web.Application()
    app.router.add_static("/", ROOT / "docs" / "examples")
    server = TestServer(app, host="127.0.0.1")
    await server.start_server()
    yield str(server.make_url("/live.html"))
    await server.close()


@pytest_asyncio.fixture
async def browser(tmp_path: Path, page_address: str) -> AsyncIterator[Chromium]:
    """A browser that shows the page and hears the speech."""
    chromium = Chromium(tmp_path / "browser", SPEECH)
    try:
        await chromium.open(page_address)
        await chromium.until("document.getElementById('meeting')?.value")
        yield chromium
    finally:
        await chromium.close()


async def start(browser: Chromium, service: str, key: str = KEY) -> None:
    """Fill the form in and begin."""
    fields = {"service": service, "key": key, "meeting": "page", "language": "en"}
    for name, value in fields.items():
        await browser.evaluate(f"document.getElementById('{name}').value = '{value}'")
    await browser.evaluate("document.getElementById('start').click()")


async def until_frames(browser: Chromium, count: int) -> None:
    """Wait until so many frames are safe."""
    await browser.until(
        f"parseInt(document.getElementById('frames').textContent) >= {count}", timeout_s=60
    )


async def finished(browser: Chromium, agent: Agent) -> Any:
    """Stop the recording and return the meeting once it is done, by the word of the page."""
    await browser.evaluate("document.getElementById('stop').click()")
    await browser.until("document.getElementById('status').value === 'done'", timeout_s=120)
    return await agent.get("/v1/meetings/page")


def words(text: str) -> list[str]:
    return re.sub(r"[^\w\s]", "", text.lower()).split()


async def test_what_is_said_to_a_page_is_shown_while_it_is_said_and_kept(
    agents: Agents, browser: Chromium
) -> None:
    (agent,) = agents.make_apart(["all"])
    await agent.start()
    await start(browser, agent.address.replace("http", "ws"))
    await until_frames(browser, SPOKEN_FRAMES)
    said, captions = REFERENCE.split(), "document.getElementById('captions').innerText"
    await browser.until(f"{captions}.split(/\\s+/).length > {len(said) * 0.8}")
    assert edits(said, words(await browser.evaluate(captions))) < 0.4 * len(said)
    meeting = await finished(browser, agent)
    assert edits(REFERENCE.split(), words(meeting["raw_transcript"])) <= 6
    assert meeting["failed_chunks"] == meeting["gaps"] == []


async def test_a_page_that_loses_its_socket_in_the_middle_goes_on_where_it_was(
    agents: Agents, browser: Chromium
) -> None:
    (agent,) = agents.make_apart(["all"])
    await agent.start()
    async with CuttingProxy(agent.address) as proxy:
        await start(browser, proxy.address.replace("http", "ws"))
        await until_frames(browser, 12)
        proxy.cut()
        await until_frames(browser, 30)
        proxy.cut()
        await until_frames(browser, SPOKEN_FRAMES)
        meeting = await finished(browser, agent)
        assert proxy.connections == 3
    assert edits(REFERENCE.split(), words(meeting["raw_transcript"])) <= 6
    assert meeting["failed_chunks"] == meeting["gaps"] == []


async def test_a_page_with_a_wrong_key_gets_in_nowhere_and_says_so(
    agents: Agents, browser: Chromium
) -> None:
    (agent,) = agents.make_apart(["all"], STT_PROVIDER="mock")
    await agent.start()
    await start(browser, agent.address.replace("http", "ws"), key="wrong ключ")
    await browser.until("document.getElementById('status').value.startsWith('no connection')")
    assert (await agent.get("/v1/meetings"))["meetings"] == []
