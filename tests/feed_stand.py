"""A feed on a real database, and listeners of it."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any

from interview_agent.domain.errors import DatabaseError
from interview_agent.domain.identity import Identity, Kind
from interview_agent.domain.live import Nudge
from interview_agent.domain.route import Stage
from interview_agent.pipeline.feed import Feed, FeedItem, Retracted, StatusChanged, Updated
from local_broadcast import LocalBroadcast
from work_bench import Bench, chunk, progress

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from interview_agent.adapters.postgres import Database, PostgresArchive
    from interview_agent.domain.meeting import Status
    from interview_agent.ports.work import Claim

OWNER = Identity("a", "user_api_key", Kind.USER)
STRANGER = Identity("b", "user_api_key", Kind.USER)
SERVICE = Identity("s", "service_api_key", Kind.SERVICE)


class CountedArchive:
    """The real archive, its reads counted, that can be away."""

    def __init__(self, archive: PostgresArchive) -> None:
        self._archive = archive
        self.reads = 0
        self.away = False

    def __getattr__(self, name: str) -> Any:
        read = getattr(self._archive, name)

        async def counted(*args: Any, **options: Any) -> Any:
            self.reads += 1
            if self.away:
                raise DatabaseError
            return await read(*args, **options)

        return counted


class Stand(Bench):
    """A database with its stores, a broadcast, and a feed that runs."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.broadcast = LocalBroadcast()
        self.counted = CountedArchive(self.archive)
        self.listeners = 0

    def note_listeners(self, count: int) -> None:
        self.listeners = count

    @asynccontextmanager
    async def feed(self, **options: Any) -> AsyncIterator[Feed]:
        feed = Feed(
            self.counted,  # type: ignore[arg-type]  # it answers by name
            self.broadcast,
            on_listeners=self.note_listeners,
            **{"pii_masking": True, **options},
        )
        loop = asyncio.create_task(feed.run())
        try:
            yield feed
        finally:
            assert not loop.done(), "the loop died"
            loop.cancel()
            await asyncio.gather(loop, return_exceptions=True)

    async def heard(self, track: str = "main") -> Claim:
        """Give a track of `m1` some audio and claim its hearing."""
        await self.intake.accept(chunk(track=track, idempotency_key=track))
        return await self.claim(Stage.STT, lease_s=60.0)

    async def commit(self, claim: Claim, *texts: str, keep: int = 0) -> None:
        """Store texts and tell listeners."""
        if await self.records.commit_progress(claim, progress(*texts, keep=keep)):
            self.broadcast.publish(claim.meeting_id, Nudge())


class Reading:
    """A listener and what it was told."""

    def __init__(
        self,
        feed: Feed,
        caller: Identity = OWNER,
        meeting_id: str = "m1",
        *,
        after: int | None = 0,
        partials: bool = True,
    ) -> None:
        self.items: list[FeedItem] = []
        self._stream = feed.follow(caller, meeting_id, after=after, partials=partials)
        self.ended = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async with aclosing(self._stream) as items:
            async for item in items:
                self.items.append(item)

    async def until(self, check: Callable[[list[FeedItem]], object], timeout_s: float = 10) -> None:
        """Wait until what was told fulfils `check`."""
        async with asyncio.timeout(timeout_s):
            while not check(self.items):
                if self.ended.done():
                    self.ended.result()
                await asyncio.sleep(0.005)

    async def until_event(self, event: int) -> None:
        await self.until(lambda _: self.events and self.events[-1] >= event)

    @property
    def events(self) -> list[int]:
        return [item.event for item in self.items if isinstance(item, Updated | Retracted)]

    @property
    def statuses(self) -> list[Status]:
        return [item.status for item in self.items if isinstance(item, StatusChanged)]

    @property
    def updates(self) -> list[Updated]:
        return [item for item in self.items if isinstance(item, Updated)]

    async def close(self) -> None:
        self.ended.cancel()
        await asyncio.gather(self.ended, return_exceptions=True)
