"""What a process answers: the API, or the probes alone."""

from __future__ import annotations

import os
import secrets
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from interview_agent import __version__
from interview_agent.adapters.audit_lines import AuditLines
from interview_agent.adapters.postgres import (
    PostgresArchive,
    PostgresDeletions,
    PostgresIntake,
    PostgresLiveSessions,
)
from interview_agent.domain.errors import StartupError
from interview_agent.domain.roles import serves_api
from interview_agent.metrics import (
    FEED_ITEMS,
    FEED_LISTENERS,
    FEED_PARTIALS_DROPPED,
    LIVE_AUDIO,
    LIVE_FRAMES,
    LIVE_FRAMES_REFUSED,
    LIVE_SESSIONS,
)
from interview_agent.pipeline.erasure import MeetingErasure
from interview_agent.pipeline.feed import KIND_BY_ITEM, Feed
from interview_agent.pipeline.ingest import Ingest
from interview_agent.pipeline.live_ingest import LiveIngest, LiveLimits, LiveMeters, LiveParts
from interview_agent.pipeline.reader import Reader
from interview_agent.web.app import build_app, build_probe_app
from interview_agent.web.auth import ApiKeys, Authenticator, OpenDoor
from interview_agent.web.listen import listen
from interview_agent.web.live.limits import MAX_MESSAGE_BYTES, SocketLimits
from interview_agent.web.live.sockets import SOCKETS
from interview_agent.web.parts import Limits, Probe, ProbeParts, Readiness, WebParts

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from interview_agent.adapters.postgres import Database
    from interview_agent.adapters.valkey import ValkeyBroadcast
    from interview_agent.compose.servers import Backends
    from interview_agent.runtime.service import Service
    from interview_agent.settings import Settings


def _own_api_key(settings: Settings) -> str:
    """Return the key kept in DATA_DIR, made and announced at the first start."""
    path = settings.data_dir / "api_key"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        return path.read_text(encoding="utf-8").strip()
    key = secrets.token_urlsafe(24)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(key + "\n")
    print(f"API key (kept in {path}): {key}", flush=True)  # noqa: T201 - printed once, on purpose
    return key


def _authenticator(settings: Settings) -> Authenticator:
    if settings.auth_mode == "none":
        return OpenDoor()
    users = [key.get_secret_value() for key in settings.api_keys]
    services = [key.get_secret_value() for key in settings.service_api_keys]
    if not users and not settings.is_prod:
        users = [_own_api_key(settings)]
    if not users and not services:
        message = "AUTH_MODE=api_key needs API_KEYS or SERVICE_API_KEYS (auth_api_keys_empty)"
        raise StartupError(message)
    return ApiKeys(users, services)


def _readiness_probe(service: Service) -> Probe:
    async def probe() -> Readiness:
        failed = [name for name, fine in (await service.readiness()).items() if not fine]
        return Readiness(ready=not failed, issues=tuple(f"{name}_failed" for name in failed))

    return probe


def _live_ingest(service: Service, ingest: Ingest, database: Database) -> LiveIngest:
    settings, metrics = service.settings, service.metrics
    parts = LiveParts(
        accept=ingest.chunk,
        sessions=PostgresLiveSessions(database),
        limits=LiveLimits(
            chunk_s=settings.live_chunk_ms / 1000,
            frame_max_bytes=settings.live_max_frame_bytes,
            max_in_flight=settings.live_max_in_flight,
            unacked_max_bytes=settings.live_max_unacked_bytes,
        ),
        meters=LiveMeters(
            sessions=partial(metrics.set, LIVE_SESSIONS),
            acked_frames=partial(metrics.count, LIVE_FRAMES),
            audio_s=partial(metrics.count, LIVE_AUDIO),
            refused_frame=lambda code: metrics.count(LIVE_FRAMES_REFUSED, code=code),
        ),
        live=settings.stt_provider != "mock",
    )
    live = LiveIngest(parts, accepting=lambda: not service.draining)
    service.loops["live_sessions"] = live.run
    return live


def _feed(service: Service, archive: PostgresArchive, broadcast: ValkeyBroadcast) -> Feed:
    settings, metrics = service.settings, service.metrics
    metrics.start_at_zero(FEED_ITEMS, ({"kind": kind} for kind in KIND_BY_ITEM.values()))
    metrics.count(FEED_PARTIALS_DROPPED, 0)
    metrics.set(FEED_LISTENERS, 0)
    feed = Feed(
        archive,
        broadcast,
        pii_masking=settings.pii_masking,
        max_listeners=settings.feed_max_listeners,
        on_listeners=partial(metrics.set, FEED_LISTENERS),
        on_told=lambda kind: metrics.count(FEED_ITEMS, kind=kind),
        on_partials_dropped=partial(metrics.count, FEED_PARTIALS_DROPPED),
    )
    service.loops |= {"signals": broadcast.run_listener, "feed": feed.run}
    return feed


async def add_web(service: Service, parts: Backends, stack: AsyncExitStack) -> None:
    """Serve what the roles of the process answer, until `stack` closes."""
    settings = service.settings
    if not serves_api(service.roles):
        app = build_probe_app(ProbeParts(service.metrics, _readiness_probe(service)))
        service.address = await listen(
            app, stack, host=settings.api_host, port=settings.metrics_port
        )
        return
    authenticator = _authenticator(settings)
    archive = PostgresArchive(parts.database)
    ingest = Ingest(
        PostgresIntake(parts.database),
        archive,
        parts.blobs,
        parts.wake,
        clock=lambda: datetime.now(UTC),
        accepting=lambda: not service.draining,
    )
    app = build_app(
        WebParts(
            ingest=ingest,
            live=_live_ingest(service, ingest, parts.database),
            reader=Reader(archive, pii_masking=settings.pii_masking),
            feed=_feed(service, archive, parts.broadcast),
            erasure=MeetingErasure(
                PostgresDeletions(parts.database), AuditLines(), parts.broadcast, parts.wake
            ),
            authenticator=authenticator,
            probes=ProbeParts(
                service.metrics,
                _readiness_probe(service),
                metrics_guard=authenticator if settings.is_prod else None,
            ),
            limits=Limits(
                chunk_max_bytes=settings.chunk_max_bytes,
                recording_max_bytes=settings.recording_max_bytes,
                inflight_max_bytes=settings.ingest_max_inflight_bytes,
                body_timeout_s=settings.body_timeout_sec,
            ),
            sockets=SocketLimits(
                max_sockets=settings.ws_max_sockets,
                max_message_bytes=max(MAX_MESSAGE_BYTES, settings.live_max_frame_bytes),
                origins=settings.cors_allowed_origins,
                captions=settings.stt_provider != "mock",
            ),
            version=__version__,
        )
    )
    service.leavers.append(app[SOCKETS].close)
    service.address = await listen(app, stack, host=settings.api_host, port=settings.api_port)
