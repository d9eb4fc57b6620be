"""What a process answers: the API, or the probes alone."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import structlog

from interview_agent import __version__
from interview_agent.adapters.postgres import (
    MeetingQuota,
    PostgresArchive,
    PostgresBacklog,
    PostgresDeletions,
    PostgresIntake,
    PostgresLiveSessions,
)
from interview_agent.compose.access import access_policy, open_authenticator
from interview_agent.compose.admin import add_audit, admin_parts
from interview_agent.compose.connector import connector_parts
from interview_agent.domain.readiness import errors_in
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
from interview_agent.pipeline.backlog import Backlog
from interview_agent.pipeline.erasure import MeetingErasure
from interview_agent.pipeline.feed import KIND_BY_ITEM, Feed
from interview_agent.pipeline.ingest import Ingest
from interview_agent.pipeline.live_ingest import (
    HeldAudio,
    LiveIngest,
    LiveLimits,
    LiveMeters,
    LiveParts,
)
from interview_agent.pipeline.reader import Reader
from interview_agent.web.app import build_app, build_probe_app
from interview_agent.web.listen import listen
from interview_agent.web.live.limits import MAX_MESSAGE_BYTES, SocketLimits
from interview_agent.web.live.sockets import SOCKETS
from interview_agent.web.origins import Origins
from interview_agent.web.parts import Limits, Probe, ProbeParts, Readiness, WebParts
from interview_agent.web.proxies import Proxies
from interview_agent.web.rates import RateLimits

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from interview_agent.adapters.postgres import Database
    from interview_agent.adapters.valkey import ValkeyBroadcast
    from interview_agent.compose.connector import Bots
    from interview_agent.compose.servers import Backends
    from interview_agent.runtime.service import Service
    from interview_agent.settings import Settings

log = structlog.get_logger(__name__)


def _rate_limits(settings: Settings) -> RateLimits:
    return RateLimits(
        requests_per_s_of_address=settings.rate_limit_per_caller,
        requests_per_s_of_identity=settings.rate_limit_per_caller,
        bad_credentials_per_minute=settings.bad_credentials_per_minute,
        held_by_identity=settings.max_held_per_caller,
        held_by_address=settings.max_held_per_caller,
    )


def _readiness_probe(service: Service) -> Probe:
    async def probe() -> Readiness:
        errors = errors_in(await service.live_issues())
        return Readiness(ready=not errors, issues=errors)

    return probe


def _live_ingest(service: Service, ingest: Ingest, database: Database) -> LiveIngest:
    settings, metrics = service.settings, service.metrics
    parts = LiveParts(
        accept=ingest.chunk,
        sessions=PostgresLiveSessions(database, quota=MeetingQuota(settings.meetings_max_per_hour)),
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
        held=HeldAudio(settings.live_max_held_bytes),
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


async def _serve_probes(service: Service, stack: AsyncExitStack) -> str:
    settings = service.settings
    app = build_probe_app(ProbeParts(service.metrics, _readiness_probe(service)))
    return await listen(app, stack, host=settings.api_host, port=settings.metrics_port)


async def add_web(
    service: Service, parts: Backends, stack: AsyncExitStack, bots: Bots | None
) -> None:
    """Serve what the roles of the process answer, until `stack` closes."""
    settings = service.settings
    if not serves_api(service.roles):
        service.address = await _serve_probes(service, stack)
        return
    authenticator = await open_authenticator(service, stack)
    audit = add_audit(service, parts, stack)
    archive = PostgresArchive(parts.database)
    backlog = Backlog(PostgresBacklog(parts.database), settings.backlog_max_chunks)
    service.loops["backlog"] = backlog.run
    proxies = Proxies(settings.trusted_proxies)
    ingest = Ingest(
        PostgresIntake(parts.database, quota=MeetingQuota(settings.meetings_max_per_hour)),
        archive,
        parts.blobs,
        parts.wake,
        clock=lambda: datetime.now(UTC),
        accepting=lambda: not service.draining,
        backlog=backlog,
    )
    app = build_app(
        WebParts(
            ingest=ingest,
            live=_live_ingest(service, ingest, parts.database),
            reader=Reader(archive, pii_masking=settings.pii_masking),
            feed=_feed(service, archive, parts.broadcast),
            erasure=MeetingErasure(
                PostgresDeletions(parts.database), audit, parts.broadcast, parts.wake
            ),
            authenticator=authenticator,
            policy=access_policy(settings),
            audit=audit,
            probes=ProbeParts(
                service.metrics,
                _readiness_probe(service),
                guard_metrics=settings.is_prod,
                spans=service.spans,
            ),
            rates=_rate_limits(settings),
            proxies=proxies,
            origins=Origins(
                settings.cors_allowed_origins, credentials=settings.cors_allow_credentials
            ),
            admin=admin_parts(service, parts, audit),
            connector=None if bots is None else connector_parts(service, parts, bots, audit),
            limits=Limits(
                chunk_max_bytes=settings.chunk_max_bytes,
                recording_max_bytes=settings.recording_max_bytes,
                inflight_max_bytes=settings.ingest_max_inflight_bytes,
                body_timeout_s=settings.body_timeout_sec,
            ),
            sockets=SocketLimits(
                max_sockets=settings.ws_max_sockets,
                max_message_bytes=max(MAX_MESSAGE_BYTES, settings.live_max_frame_bytes),
                captions=settings.stt_provider != "mock",
            ),
            version=__version__,
        )
    )
    service.leavers.append(app[SOCKETS].close)
    if settings.is_prod or "metrics_port" in settings.model_fields_set:
        log.info("probes_served", address=await _serve_probes(service, stack))
    service.address = await listen(
        app,
        stack,
        host=settings.api_host,
        port=settings.api_port,
        max_connections_per_address=settings.max_connections_per_address,
        proxies=proxies,
    )
