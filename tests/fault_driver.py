"""Sends numbered chunks through every fault and keeps a journal of what was answered."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import itertools
import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import aiohttp

from running_agents import KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PATIENCE_S = 15.0
"""How long an answer is waited for; past it the outcome is unknown."""

GIVE_UP_SHARE = 0.1
"""Share of refused or unanswered chunks that are never sent again."""


class Item(NamedTuple):
    """One chunk by its place."""

    meeting_id: str
    seq: int

    @property
    def body(self) -> bytes:
        """Bytes that no other item has, of a length that no other of its meeting has."""
        chance = random.Random(f"{self.meeting_id} {self.seq}")
        return chance.randbytes(1_000 + self.seq)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.body).hexdigest()


class Refusal(NamedTuple):
    """An honest no: when it came (monotonic), how long it took, what it said."""

    at_s: float
    took_s: float
    status: int
    code: str
    retry_after: str | None


@dataclass
class Journal:
    """What was answered: the last word on each item, and when each yes was heard."""

    ok: set[Item] = field(default_factory=set)
    refused: set[Item] = field(default_factory=set)
    unknown: set[Item] = field(default_factory=set)
    refusals: list[Refusal] = field(default_factory=list)
    ok_at_s: list[float] = field(default_factory=list)
    ok_took_s: list[float] = field(default_factory=list)
    surprises: list[tuple[int, str]] = field(default_factory=list)

    def longest_gap_s(self) -> float:
        """Return the longest time between two yeses."""
        times = sorted(self.ok_at_s)
        return max((b - a for a, b in itertools.pairwise(times)), default=0.0)

    def first_ok_after(self, moment_s: float) -> float:
        """Return how long after a moment the first yes came."""
        return min(at for at in self.ok_at_s if at >= moment_s) - moment_s


class Driver:
    """Clients that send the chunks of some meetings in order, `clients` at once.

    `address` is asked before every request, since a process that was started again has another.
    """

    def __init__(
        self,
        address: Callable[[], str],
        meetings: Sequence[str],
        *,
        clients: int = 6,
        seed: int = 1,
        pace_s: float = 0.0,
    ) -> None:
        self.journal = Journal()
        self._address = address
        self._meetings = meetings
        self._clients = clients
        self._chance = random.Random(seed)
        self._pace_s = pace_s
        self._number = 0
        self._stopping = False
        self._running: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Driver:
        self._running = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Send no more new chunks and wait for the answers to those under way."""
        self._stopping = True
        if self._running is not None:
            await self._running

    async def until_ok(self, count: int, timeout_s: float = 60.0) -> None:
        """Wait until so many more chunks were accepted."""
        wanted = len(self.journal.ok) + count
        async with asyncio.timeout(timeout_s):
            while len(self.journal.ok) < wanted:
                await asyncio.sleep(0.005)

    async def until_refused(self, count: int = 1, timeout_s: float = 30.0) -> None:
        """Wait until so many more requests were refused."""
        wanted = len(self.journal.refusals) + count
        async with asyncio.timeout(timeout_s):
            while len(self.journal.refusals) < wanted:
                await asyncio.sleep(0.005)

    async def _run(self) -> None:
        timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
        async with (
            aiohttp.ClientSession(headers={"X-API-Key": KEY}, timeout=timeout) as session,
            asyncio.TaskGroup() as group,
        ):
            for _ in range(self._clients):
                group.create_task(self._client(session))

    async def _client(self, session: aiohttp.ClientSession) -> None:
        while not self._stopping:
            seq, meeting = divmod(self._number, len(self._meetings))
            self._number += 1
            await self._deliver(session, Item(self._meetings[meeting], seq))
            await asyncio.sleep(self._pace_s)

    async def _deliver(self, session: aiohttp.ClientSession, item: Item) -> None:
        while not await self._attempt(session, item):
            if self._stopping or self._chance.random() < GIVE_UP_SHARE:
                return
            await asyncio.sleep(0.1 + 0.2 * self._chance.random())

    async def _attempt(self, session: aiohttp.ClientSession, item: Item) -> bool:
        journal, started = self.journal, time.monotonic()
        content = {"seq": item.seq, "content_b64": base64.b64encode(item.body).decode()}
        url = f"{self._address()}/v1/meetings/{item.meeting_id}/chunks"
        try:
            async with session.post(url, json=content) as answer:
                said = await answer.json(content_type=None)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
            journal.refused.discard(item)
            journal.unknown.add(item)
            return False
        now = time.monotonic()
        if answer.status == 200:
            journal.refused.discard(item)
            journal.unknown.discard(item)
            journal.ok.add(item)
            journal.ok_at_s.append(now)
            journal.ok_took_s.append(now - started)
            return True
        if answer.status not in (429, 503):
            journal.surprises.append((answer.status, str(said)))
            return True
        retry_after = answer.headers.get("Retry-After")
        code = said["detail"]["code"]
        journal.refusals.append(Refusal(now, now - started, answer.status, code, retry_after))
        # The outcome of a commit that broke off is unknown until the next try. A refusal says
        # nothing of an earlier try whose answer was lost.
        if code == "db_error":
            journal.unknown.add(item)
        if item not in journal.unknown:
            journal.refused.add(item)
        return False
