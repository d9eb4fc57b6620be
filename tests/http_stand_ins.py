"""An API with a folder but no database, and what its tests send and look for."""

from __future__ import annotations

import asyncio
import base64
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aiohttp import ClientResponse, ClientSession
from yarl import URL

from admin_stand_ins import admin_parts_without_database
from audit_twin import NotedAudit
from erasure_stand import erasure_by
from interview_agent.adapters.local_fs import MARKER, LocalFsBlobStore
from interview_agent.domain.errors import DatabaseError, QueueError
from interview_agent.metrics import Metrics
from interview_agent.pipeline.feed import Feed
from interview_agent.pipeline.ingest import Ingest
from interview_agent.pipeline.live_ingest import LiveIngest, LiveParts
from interview_agent.pipeline.reader import Reader
from interview_agent.ports.intake import NewChunk, NewMeeting, Receipt
from interview_agent.web.app import build_app
from interview_agent.web.auth import ApiKeys
from interview_agent.web.listen import listen
from interview_agent.web.parts import BUDGET, Limits, ProbeParts, Readiness, WebParts
from local_broadcast import LocalBroadcast
from memory_rows import MemoryRows

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from pathlib import Path

    from interview_agent.web.body import ByteBudget

KEY = {"X-API-Key": "alice"}
JSON = {**KEY, "Content-Type": "application/json"}
WAV = {**KEY, "Content-Type": "audio/wav"}
CHUNKS = "/v1/meetings/m1/chunks"
RECORDING = "/v1/meetings/m1/recording"
LIMITS = Limits(
    chunk_max_bytes=1000,
    recording_max_bytes=300_000,
    inflight_max_bytes=200_000,
    json_max_bytes=4096,
)


@dataclass
class Client:
    """A client, the address it speaks to, and the memory budget of the server behind it."""

    http: ClientSession
    address: URL
    budget: ByteBudget

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a bare connection."""
        return await asyncio.open_connection(self.address.host, self.address.port)


class Doors:
    """Takes every chunk and notes it; can break in a way that nobody foresaw."""

    def __init__(self) -> None:
        self.accepted: list[NewChunk] = []
        self.fault: Exception | None = None

    async def start(self, new: NewMeeting) -> Any:
        """Fail as told."""
        raise self.fault or DatabaseError(new.meeting_id)

    async def admit(self, chunk: NewChunk) -> Receipt | None:
        """Let it in, unless its bytes are already here."""
        known = (one for one in self.accepted if one.sha256 == chunk.sha256)
        return next(
            (Receipt(one.blob_key, one.idempotency_key, duplicate=True) for one in known), None
        )

    async def admit_meeting(self, chunk: NewChunk) -> None:
        """Let it in."""

    async def accept(self, chunk: NewChunk) -> Receipt:
        """Note it."""
        self.accepted.append(chunk)
        return Receipt(chunk.blob_key, chunk.idempotency_key, duplicate=False)

    async def finish(self, meeting_id: str, expected_last_seq: Mapping[str, int]) -> Any:
        """Fail."""
        raise DatabaseError(meeting_id, details=dict(expected_last_seq))

    def notify(self, stage: object, meeting_id: str, track: str = "") -> None:
        """Forget it."""

    def bury(self, stage: object, meeting_id: str, track: str, reason: str) -> None:
        """Forget it."""

    async def wait(self, stage: object, timeout_s: float) -> bool:
        """Fail."""
        raise QueueError(details={"stage": stage, "timeout_s": timeout_s})


class Absent:
    """An archive whose database is away."""

    async def owner(self, meeting_id: str) -> Any:
        """Fail."""
        raise DatabaseError(meeting_id, retry_after_s=7)

    async def meeting(self, meeting_id: str) -> Any:
        """Fail."""
        raise DatabaseError(meeting_id, retry_after_s=7)

    async def meetings(self, owner: object, *, limit: int, before: object) -> Any:
        """Fail."""
        raise DatabaseError(repr((owner, limit, before)))

    async def segments(self, meeting_id: str) -> Any:
        """Fail."""
        raise DatabaseError(meeting_id)

    async def events(self, meeting_id: str, after: int, limit: int) -> Any:
        """Fail."""
        raise DatabaseError(repr((meeting_id, after, limit)))

    async def changes(self, after: Mapping[str, int], limit: int) -> Any:
        """Fail."""
        raise DatabaseError(repr((after, limit)))

    async def standings(self, meeting_ids: Sequence[str]) -> Any:
        """Fail."""
        raise DatabaseError(", ".join(meeting_ids))

    async def chunks(self, meeting_id: str, track: str | None = None) -> Any:
        """Fail."""
        raise DatabaseError(meeting_id, details={"track": track})

    async def runs(self, meeting_id: str) -> Any:
        """Fail."""
        raise DatabaseError(meeting_id)

    async def unreferenced(self, keys: Sequence[str]) -> Any:
        """Fail."""
        raise DatabaseError(", ".join(keys))


class AbsentDeletions:
    """Deletions whose database is away."""

    async def owner(self, meeting_id: str) -> Any:
        """Fail."""
        raise DatabaseError(meeting_id)

    async def request(self, meeting_id: str, requested_by: str) -> Any:
        """Fail."""
        raise DatabaseError(f"{meeting_id} {requested_by}")

    async def deleted(self, meeting_ids: Sequence[str]) -> Any:
        """Fail."""
        raise DatabaseError(", ".join(meeting_ids))

    async def page(self, *, limit: int, before_id: int | None) -> Any:
        """Fail."""
        raise DatabaseError(repr((limit, before_id)))

    async def digests(self, deletion_id: int, *, limit: int, after: int | None) -> Any:
        """Fail."""
        raise DatabaseError(repr((deletion_id, limit, after)))

    async def oldest_unfinished_s(self) -> Any:
        """Fail."""
        raise DatabaseError

    async def schedule_retention(self, days: int, limit: int) -> Any:
        """Fail."""
        raise DatabaseError(repr((days, limit)))


class Readying:
    """A readiness probe that answers as told."""

    def __init__(self) -> None:
        self.state = Readiness(ready=True)
        self.fault: Exception | None = None

    async def __call__(self) -> Readiness:
        if self.fault:
            raise self.fault
        return self.state


@asynccontextmanager
async def served_api(
    folder: Path, doors: Doors, probe: Readying, *, patience_s: float = 30.0
) -> AsyncIterator[Client]:
    """Serve the API with `folder` for its audio and give a client of it.

    `patience_s` is how long it waits for a header or for the next piece of a body.
    """
    blobs = LocalFsBlobStore(folder)
    await blobs.prepare()
    archive, audit = Absent(), NotedAudit()
    ingest = Ingest(doors, archive, blobs, doors, clock=lambda: datetime.now(UTC))
    parts = WebParts(
        ingest=ingest,
        live=LiveIngest(LiveParts(ingest.chunk, MemoryRows())),
        reader=Reader(archive, pii_masking=True),
        feed=Feed(archive, LocalBroadcast(), pii_masking=True),
        erasure=erasure_by(AbsentDeletions()),
        authenticator=ApiKeys(["alice"], ["machine"]),
        audit=audit,
        probes=ProbeParts(Metrics("api"), probe, guard_metrics=True),
        admin=admin_parts_without_database(blobs, audit),
        limits=replace(LIMITS, body_timeout_s=patience_s),
    )
    app = build_app(parts)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(blobs.aclose)
        address = await listen(app, stack, host="127.0.0.1", port=0, header_timeout_s=patience_s)
        session = await stack.enter_async_context(ClientSession(address))
        yield Client(session, URL(address), app[BUDGET])


def chunk(size: int = 15, **fields: Any) -> dict[str, Any]:
    return {"seq": 1, "content_b64": base64.b64encode(b"x" * size).decode(), **fields}


async def code_of(answer: ClientResponse) -> tuple[int, str]:
    body = await answer.json()
    assert set(body["detail"]) == {"code", "message", "details"}
    return answer.status, body["detail"]["code"]


def stored_files(folder: Path) -> list[Path]:
    """Return what a store holds, its mark aside."""
    return [path for path in folder.rglob("*") if path.is_file() and path.name != MARKER]


async def raw_exchange(client: Client, request: bytes) -> bytes:
    """Send bytes as they are and return all that comes back until the server closes."""
    reader, writer = await client.connect()
    writer.write(request)
    await writer.drain()
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    await writer.wait_closed()
    return answer
