"""Processes that pull from the fake gateway onto a real database and real files."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from gateway_stand import gateway_stand
from interview_agent.adapters.local_fs import LocalFsBlobStore
from interview_agent.adapters.postgres import (
    PostgresArchive,
    PostgresConnectorPulls,
    PostgresConnectorSessions,
    PostgresIntake,
)
from interview_agent.adapters.sberjazz import RetryRules
from interview_agent.domain.connector import SessionState
from interview_agent.pipeline.connector import DrainParts, LivePull, PullTimes
from interview_agent.pipeline.ingest import Ingest
from interview_agent.ports.connector_sessions import SessionUpdate
from interview_agent.ports.intake import NewMeeting
from memory_rows import NotedWakeUps

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from fake_sberjazz import FakeGateway
    from interview_agent.adapters.postgres import Database
    from interview_agent.domain.meeting import Chunk
    from interview_agent.ports.connector import Connector

TIMES = PullTimes(
    interval_s=0.03,
    look_s=0.05,
    entry_look_s=0.03,
    lease_s=1.0,
    renew_s=0.1,
    claim_s=0.03,
    retry_s=0.02,
    retry_most_s=0.1,
    turned_s=0.05,
    once_s=5.0,
)
NO_RETRIES = RetryRules(timeout_s=1.0, retries=0)


@dataclass
class PullStand:
    """What processes share: a gateway, rows, files. `pulls` are those that run."""

    database: Database
    fake: FakeGateway
    connector: Connector
    blobs: LocalFsBlobStore
    accepting: bool = True
    delays_s: list[float] = field(default_factory=list)
    running: list[asyncio.Task[None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sessions = PostgresConnectorSessions(self.database)
        self.archive = PostgresArchive(self.database)
        self.intake = PostgresIntake(self.database)
        self.pulls = PostgresConnectorPulls(self.database)

    async def join(self, meeting_id: str = "m1", **changes: Any) -> None:
        """Start a meeting, or join it again, and send a bot into it."""
        await self.intake.start(NewMeeting(meeting_id, "anna", **changes))
        operation = await self.sessions.begin(
            meeting_id, "join", provider=self.connector.provider, lock_s=60
        )
        epoch = await self.sessions.raise_epoch(operation)
        self.fake.room(meeting_id).send_bot(f"{meeting_id}:{epoch}", {}, "active")
        seen = SessionUpdate(state=SessionState.ACTIVE, wanted=True, heartbeat=True, joined=True)
        await self.sessions.update(operation, replace(seen, answered=True))
        await self.sessions.end(operation)

    def pull(
        self, connector: Connector | None = None, times: PullTimes = TIMES, **facts: Any
    ) -> LivePull:
        """Make a process that pulls."""
        ingest = Ingest(
            self.intake,
            self.archive,
            self.blobs,
            NotedWakeUps(),  # type: ignore[arg-type]
            clock=lambda: datetime.now(UTC),
            accepting=lambda: self.accepting,
        )
        parts = DrainParts(
            connector or self.connector,
            self.pulls,
            ingest,
            batch_limit=facts.pop("batch_limit", 3),
            call_s=facts.pop("call_s", 1.0),
            on_delay=self.delays_s.append,
        )
        return LivePull(
            parts, owner="test", sessions_limit=10, jitter=lambda: 0.0, times=times, **facts
        )

    def start(self, pull: LivePull | None = None) -> asyncio.Task[None]:
        """Let a process pull until the stand is left."""
        task = asyncio.create_task((pull or self.pull()).run())
        self.running.append(task)
        return task

    async def chunks(self, meeting_id: str = "m1") -> list[Chunk]:
        """Return what was accepted."""
        return list(await self.archive.chunks(meeting_id))

    async def bodies(self, meeting_id: str = "m1") -> dict[str, list[bytes]]:
        """Return the sound of each track in order."""
        found: dict[str, list[bytes]] = {}
        for chunk in sorted(await self.chunks(meeting_id), key=lambda each: each.seq):
            with await self.blobs.open(chunk.blob_key) as file:
                found.setdefault(chunk.track, []).append(file.read())
        return found

    async def until_chunks(self, count: int, meeting_id: str = "m1") -> list[Chunk]:
        """Return the chunks of a meeting once there are so many."""

        async def enough() -> bool:
            return len(await self.chunks(meeting_id)) >= count

        await self.until(enough)
        return await self.chunks(meeting_id)

    async def row(self, meeting_id: str = "m1") -> Any:
        """Return the row of a session."""
        async with self.database.connection() as connection:
            return await connection.fetchrow(
                "SELECT * FROM connector_sessions WHERE meeting_id = $1", meeting_id
            )

    async def until_row(self, meeting_id: str = "m1", **values: Any) -> None:
        """Wait until the row of a session has these values."""

        async def so() -> bool:
            row = await self.row(meeting_id)
            return all(row[name] == value for name, value in values.items())

        await self.until(so)

    async def until_failures(self, count: int) -> None:
        """Wait until at least so many pulls in a row have failed; there may be more by then."""

        async def enough() -> bool:
            return (await self.row())["pull_failures"] >= count

        await self.until(enough)

    async def execute(self, statement: str) -> None:
        """Do something behind everybody's back."""
        async with self.database.connection() as connection:
            await connection.execute(statement)

    async def until(self, check: Callable[[], Awaitable[bool]], timeout_s: float = 15.0) -> None:
        """Wait until something is so."""
        async with asyncio.timeout(timeout_s):
            while not await check():
                await asyncio.sleep(0.02)


@asynccontextmanager
async def pull_stand(database: Database, folder: Path) -> AsyncIterator[PullStand]:
    """Serve the gateway, and end what pulls from it afterwards."""
    blobs = LocalFsBlobStore(folder)
    await blobs.prepare()
    async with gateway_stand(rules=NO_RETRIES) as gateway:
        stand = PullStand(database, gateway.fake, gateway.connector, blobs)
        try:
            yield stand
        finally:
            for each in stand.running:
                each.cancel()
            await asyncio.gather(*stand.running, return_exceptions=True)
            await blobs.aclose()
