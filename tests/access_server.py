"""The API on a real database and folder, for callers of every kind."""

from __future__ import annotations

import base64
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aiohttp import ClientSession
from yarl import URL

from admin_stand_ins import admin_parts
from audit_twin import NotedAudit
from erasure_stand import erasure_by
from http_stand_ins import Readying
from interview_agent.adapters.local_fs import LocalFsBlobStore
from interview_agent.adapters.postgres import (
    Database,
    MeetingQuota,
    PostgresArchive,
    PostgresBacklog,
    PostgresDeletions,
    PostgresIntake,
    PostgresLiveSessions,
)
from interview_agent.domain.errors import Unauthorized
from interview_agent.domain.identity import Identity, Kind
from interview_agent.domain.policy import Policy, ScopeRules
from interview_agent.metrics import Metrics
from interview_agent.pipeline.backlog import Backlog
from interview_agent.pipeline.feed import Feed
from interview_agent.pipeline.ingest import Ingest
from interview_agent.pipeline.live_ingest import LiveIngest, LiveParts
from interview_agent.pipeline.reader import Reader
from interview_agent.ports.intake import NewMeeting
from interview_agent.web.app import build_app
from interview_agent.web.auth import ApiKeys, Authenticator
from interview_agent.web.listen import listen
from interview_agent.web.live.limits import SocketLimits
from interview_agent.web.origins import Origins
from interview_agent.web.parts import ProbeParts, WebParts
from interview_agent.web.proxies import Proxies
from interview_agent.web.rates import RateLimits
from local_broadcast import LocalBroadcast
from socket_client import Dialler
from socket_server import NoWakeUps

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from aiohttp import web

    from interview_agent.domain.meeting import Consent
    from interview_agent.web.parts import ConnectorParts

RULES = ScopeRules(
    admin_read=("admin.read", "admin"),
    admin_write=("admin.write", "admin"),
    socket_internal=("ws.internal", "admin"),
    ingest_internal=("ingest", "admin"),
)
KEYS = ApiKeys(["acme:alice", "bob"], ["machine"])
PATIENT = RateLimits(bad_credentials_per_minute=100_000)


def _user(name: str, tenant: str | None) -> Identity:
    return Identity(name, "jwt", Kind.USER, tenant=tenant)


def _service(*scopes: str) -> Identity:
    return Identity(f"service-{'-'.join(scopes)}", "jwt", Kind.SERVICE, scopes=frozenset(scopes))


TOKENS = {
    "user-of-a": _user("anna", "a"),
    "another-of-a": _user("arthur", "a"),
    "user-of-b": _user("bert", "b"),
    "user-of-none": _user("norman", None),
    "service": _service(),
    "service-read": _service("admin.read"),
    "service-write": _service("admin.write"),
    "service-ws": _service("ws.internal"),
    "service-ingest": _service("ingest"),
}


class Tokens:
    """A twin of the authenticator of tokens: a bearer alone decides; else keys of services may."""

    def __init__(self, *, service_keys: bool) -> None:
        self._keys = ApiKeys([], ["machine"] if service_keys else [])

    async def identify(self, request: web.BaseRequest) -> Identity:
        """Return whose name stands in place of a token."""
        scheme, _, name = request.headers.get("Authorization", "").partition(" ")
        if not scheme:
            return await self._keys.identify(request)
        if name not in TOKENS:
            raise Unauthorized
        return TOKENS[name]

    def header_of(self, credential: str) -> tuple[str, str]:
        """Return the header of tokens."""
        return "Authorization", f"Bearer {credential}"

    def lapsed(self, caller: Identity) -> str | None:
        """Say that these tokens never expire."""
        assert caller


def bearer(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {name}"}


def key(name: str) -> dict[str, str]:
    return {"X-API-Key": name}


def chunk(seq: int = 0, body: bytes = b"audio", **fields: Any) -> dict[str, Any]:
    return {"seq": seq, "content_b64": base64.b64encode(body).decode(), **fields}


@dataclass
class AccessServer:
    """What tests of access speak to, and what they may look at behind it."""

    http: ClientSession
    address: str
    dial: Dialler
    audit: NotedAudit
    backlog: Backlog
    app: web.Application
    database: Database
    folder: Path

    async def opened(self, meeting_id: str, owner: str, consent: Consent | None = None) -> None:
        """Give `owner` a meeting."""
        consents = {"consent": consent} if consent else {}
        await PostgresIntake(self.database).start(NewMeeting(meeting_id, owner, **consents))

    async def ask(
        self, method: str, path: str, headers: dict[str, str] | None = None, **options: Any
    ) -> tuple[int, Any]:
        """Return status and body of an answer; the path is sent as it is."""
        url = URL(self.address + path, encoded=True)
        async with self.dial.http.request(method, url, headers=headers, **options) as answer:
            is_json = answer.content_type == "application/json" and method != "HEAD"
            return answer.status, await answer.json() if is_json else await answer.text()

    async def told(self, *given: Any, **options: Any) -> tuple[int, str]:
        """Return status and error code of an answer."""
        status, body = await self.ask(*given, **options)
        return status, body["detail"]["code"]

    async def traces(self) -> tuple[Any, ...]:
        """Return what a change anywhere would change."""
        async with self.database.connection() as connection:
            rows = await connection.fetchrow(
                "SELECT (SELECT array_agg(m ORDER BY meeting_id)::text FROM meetings m),"
                " (SELECT count(*) FROM chunks), (SELECT count(*) FROM tracks),"
                " (SELECT count(*) FROM stage_work), (SELECT count(*) FROM live_sessions)"
            )
        files = sorted(str(path) for path in self.folder.rglob("*"))
        return (*rows, files)


@asynccontextmanager
async def access_server(
    database: Database,
    folder: Path,
    authenticator: Authenticator,
    *,
    policy: Policy | None = None,
    guard_metrics: bool = True,
    rates: RateLimits = PATIENT,
    trusted: tuple[str, ...] = (),
    origins: Origins | None = None,
    backlog_max_chunks: int = 1000,
    meetings_max_per_hour: int | None = None,
    max_connections: int = 1000,
    connector: Callable[[Database, NotedAudit], ConnectorParts] | None = None,
) -> AsyncIterator[AccessServer]:
    """Serve the API for whoever `authenticator` knows, without a connector unless one is made."""
    blobs = LocalFsBlobStore(folder)
    await blobs.prepare()
    archive, audit = PostgresArchive(database), NotedAudit()
    backlog = Backlog(PostgresBacklog(database), backlog_max_chunks)
    quota = MeetingQuota(meetings_max_per_hour)
    ingest = Ingest(
        PostgresIntake(database, quota=quota),
        archive,
        blobs,
        NoWakeUps(),
        clock=lambda: datetime.now(UTC),
        backlog=backlog,
    )
    proxies = Proxies(trusted)
    app = build_app(
        WebParts(
            ingest=ingest,
            live=LiveIngest(LiveParts(ingest.chunk, PostgresLiveSessions(database, quota=quota))),
            reader=Reader(archive, pii_masking=True),
            feed=Feed(archive, LocalBroadcast(), pii_masking=True),
            erasure=erasure_by(PostgresDeletions(database), audit=audit),
            authenticator=authenticator,
            audit=audit,
            admin=admin_parts(database, blobs, audit),
            connector=connector(database, audit) if connector else None,
            probes=ProbeParts(Metrics("api"), Readying(), guard_metrics=guard_metrics),
            policy=policy or Policy(RULES),
            rates=rates,
            proxies=proxies,
            origins=origins or Origins(),
            sockets=SocketLimits(),
        )
    )
    async with AsyncExitStack() as stack:
        stack.push_async_callback(blobs.aclose)
        address = await listen(
            app,
            stack,
            host="127.0.0.1",
            port=0,
            max_connections_per_address=max_connections,
            proxies=proxies,
        )
        session = await stack.enter_async_context(ClientSession(address))
        plain = await stack.enter_async_context(ClientSession())
        dial = Dialler(plain, address)
        yield AccessServer(session, address, dial, audit, backlog, app, database, folder)
