"""The WebSocket front on a real database and a real folder."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aiohttp import ClientSession

from admin_stand_ins import admin_parts
from audit_twin import NotedAudit
from erasure_stand import erasure_by
from http_stand_ins import Readying
from interview_agent.adapters.local_fs import LocalFsBlobStore
from interview_agent.adapters.postgres import (
    Database,
    PostgresArchive,
    PostgresDeletions,
    PostgresIntake,
    PostgresLiveSessions,
)
from interview_agent.metrics import Metrics
from interview_agent.pipeline.feed import Feed
from interview_agent.pipeline.ingest import Ingest
from interview_agent.pipeline.live_ingest import LiveIngest, LiveLimits, LiveParts
from interview_agent.pipeline.reader import Reader
from interview_agent.web.app import build_app
from interview_agent.web.auth import ApiKeys
from interview_agent.web.listen import listen
from interview_agent.web.live.limits import SocketLimits
from interview_agent.web.live.sockets import SOCKETS, LiveSockets
from interview_agent.web.origins import Origins
from interview_agent.web.parts import ProbeParts, StreamTimes, WebParts
from interview_agent.web.rates import RateLimits
from local_broadcast import LocalBroadcast
from socket_client import Dialler

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from interview_agent.ports.blob_store import BlobStore
    from interview_agent.web.auth import Authenticator


class NoWakeUps:
    """A wake queue that loses everything, as one may."""

    def notify(self, stage: object, meeting_id: str, track: str = "") -> None:
        """Forget it."""

    def bury(self, stage: object, meeting_id: str, track: str, reason: str) -> None:
        """Forget it."""

    async def wait(self, stage: object, timeout_s: float) -> bool:
        """Wait in vain."""
        assert stage
        await asyncio.sleep(timeout_s)
        return False


class Gate:
    """A store that waits before each chunk while it is shut, and fails while it has a fault."""

    def __init__(self, store: BlobStore) -> None:
        self._store = store
        self.open = asyncio.Event()
        self.open.set()
        self.fault: Exception | None = None

    async def put(self, key: str, body: bytes) -> None:
        """Store a chunk once the gate is open."""
        await self.open.wait()
        if self.fault is not None:
            raise self.fault
        await self._store.put(key, body)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


@dataclass
class SocketServer:
    """What tests speak to, and what they may look at behind it."""

    dial: Dialler
    metrics: Metrics
    sockets: LiveSockets
    broadcast: LocalBroadcast
    gate: Gate
    archive: PostgresArchive
    audit: NotedAudit
    folder: Path

    async def stored(self, meeting_id: str, track: str = "main") -> bytes:
        """Return the audio of a track as it lies in the store, in order."""
        chunks = sorted(await self.archive.chunks(meeting_id, track), key=lambda chunk: chunk.seq)
        assert [chunk.seq for chunk in chunks] == list(range(len(chunks)))
        return b"".join((self.folder / chunk.blob_key).read_bytes() for chunk in chunks)

    def counted(self, sample: str) -> float:
        """Return the value of a sample such as `name{label="x"}`, 0 where there is none."""
        for line in self.metrics.render().splitlines():
            if line.startswith(f"{sample} "):
                return float(line.rpartition(" ")[2])
        return 0.0


@asynccontextmanager
async def served_sockets(
    database: Database,
    folder: Path,
    *,
    limits: SocketLimits | None = None,
    live_limits: LiveLimits | None = None,
    authenticator: Authenticator | None = None,
    streams: StreamTimes | None = None,
    origins: tuple[str, ...] = (),
    rates: RateLimits | None = None,
) -> AsyncIterator[SocketServer]:
    """Serve the API, by default with the keys of Alice, Bob and a machine."""
    blobs = LocalFsBlobStore(folder)
    await blobs.prepare()
    gate = Gate(blobs)
    archive, metrics, broadcast = PostgresArchive(database), Metrics("api"), LocalBroadcast()
    ingest = Ingest(
        PostgresIntake(database), archive, gate, NoWakeUps(), clock=lambda: datetime.now(UTC)
    )
    live = LiveIngest(
        LiveParts(ingest.chunk, PostgresLiveSessions(database), limits=live_limits or LiveLimits())
    )
    audit = NotedAudit()
    feed = Feed(archive, broadcast, pii_masking=True)
    app = build_app(
        WebParts(
            ingest=ingest,
            live=live,
            reader=Reader(archive, pii_masking=True),
            feed=feed,
            erasure=erasure_by(PostgresDeletions(database), audit=audit, broadcast=broadcast),
            authenticator=authenticator or ApiKeys(["alice", "bob"], ["machine"]),
            audit=audit,
            probes=ProbeParts(metrics, Readying()),
            admin=admin_parts(database, gate, audit),
            origins=Origins(origins),
            rates=rates or RateLimits(),
            sockets=limits or SocketLimits(),
            streams=streams or StreamTimes(),
        )
    )
    async with AsyncExitStack() as stack:
        stack.push_async_callback(blobs.aclose)
        for loop in (live.run, feed.run):
            stack.push_async_callback(_ended, asyncio.create_task(loop()))
        address = await listen(app, stack, host="127.0.0.1", port=0)
        session = await stack.enter_async_context(ClientSession())
        yield SocketServer(
            dial=Dialler(session, address),
            metrics=metrics,
            sockets=app[SOCKETS],
            broadcast=broadcast,
            gate=gate,
            archive=archive,
            audit=audit,
            folder=folder,
        )


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
