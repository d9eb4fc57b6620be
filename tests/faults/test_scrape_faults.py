"""What a process needs hangs, one after the other: its metrics are there at once and tell of it."""

from __future__ import annotations

import asyncio
import os
import re
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import aiohttp

from fault_servers import frozen, tree
from interview_agent.adapters.local_fs import MARKER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from fault_servers import OwnServers

ROLES = ("api", "worker", "reconciliation")
FAST_S = 1.0
"""A tenth of the interval of scrapes, and of the time after which what hangs is cut off."""


@contextmanager
def hanging_folder(folder: Path) -> Iterator[None]:
    """Let whoever looks into a folder of audio wait, as on a share whose server is gone."""
    marker, aside = folder / MARKER, folder / "marker-aside"
    marker.rename(aside)
    os.mkfifo(marker)
    try:
        yield
    finally:
        pipe = marker.rename(folder / "pipe")
        aside.rename(marker)
        # Whoever waits reads an end of file, and looks again the next time.
        os.close(os.open(pipe, os.O_RDWR))


class Scraper:
    """Asks processes for their metrics, and remembers the slowest answer."""

    def __init__(self, session: aiohttp.ClientSession, addresses: list[str]) -> None:
        self._session = session
        self._addresses = addresses
        self.slowest_s = 0.0

    async def _scrape(self, address: str) -> str:
        asked_s = time.monotonic()
        async with self._session.get(f"{address}/metrics") as answer:
            assert answer.status == 200
            text = await answer.text()
        self.slowest_s = max(self.slowest_s, time.monotonic() - asked_s)
        return text

    async def until(self, tells: Callable[[str], bool]) -> None:
        """Scrape all of them until each tells what is wanted."""
        async with asyncio.timeout(40):
            while True:
                texts = await asyncio.gather(*map(self._scrape, self._addresses))
                if all(map(tells, texts)):
                    return
                await asyncio.sleep(0.2)


def value(text: str, series: str) -> float | None:
    """Return what a series shows, None before its first value."""
    found = re.search(rf"^{re.escape(series)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else None


async def test_a_scrape_is_fast_and_true_while_what_the_process_needs_hangs(
    own: OwnServers,
) -> None:
    """In each role: Redis, then the database too, then the storage, until the gauges tell."""
    agents = own.agents.make_apart(ROLES, STT_PROVIDER="mock")
    await asyncio.gather(*(agent.start() for agent in agents))
    errors = 'agent_metrics_collection_errors_total{source="queue_metrics"}'
    health = 'agent_storage_health{mode="shared_fs"}'
    async with aiohttp.ClientSession() as session:
        scraper = Scraper(session, [agent.address for agent in agents])
        await scraper.until(lambda text: value(text, "agent_system_readiness") == 1)
        with ExitStack() as hung:
            hung.enter_context(frozen([own.valkey.pid]))
            await scraper.until(lambda text: value(text, "agent_system_readiness") == 0)
            hung.enter_context(frozen(tree(own.postgres.pid)))
            await scraper.until(lambda text: value(text, errors) == 1)
            hung.enter_context(hanging_folder(own.blob_dir))
            await scraper.until(lambda text: value(text, health) == 0)
        await scraper.until(lambda text: value(text, "agent_system_readiness") == 1)
        await scraper.until(lambda text: value(text, health) == 1)
    assert scraper.slowest_s < FAST_S
