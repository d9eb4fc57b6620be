"""The one place that names concrete things and joins them into a running service."""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import structlog

from interview_agent import __version__
from interview_agent.adapters.decoder.child_decoder import ChildDecoder
from interview_agent.adapters.embedded import EmbeddedStack
from interview_agent.adapters.local_fs import LocalFsBlobStore
from interview_agent.adapters.mock_stt import MockTranscriber
from interview_agent.adapters.postgres import (
    Database,
    PostgresArchive,
    PostgresIntake,
    PostgresLiveRecords,
    PostgresLiveSessions,
    PostgresStageRecords,
    PostgresWorkStore,
    check_schema,
    migrate,
    open_database,
)
from interview_agent.adapters.smtp import SmtpMailer, SmtpServer
from interview_agent.adapters.valkey import ValkeyBroadcast, ValkeyWakeQueue
from interview_agent.adapters.whisper.model import WhisperSpeechModel
from interview_agent.domain.errors import DatabaseError, StartupError
from interview_agent.domain.roles import Role, serves_api, stages_of, sweeps
from interview_agent.domain.route import Stage
from interview_agent.metrics import (
    AUDIO_HEARD,
    BROADCAST_FAILURES,
    BUILD,
    EMBEDDED_EXITS,
    FEED_ITEMS,
    FEED_LISTENERS,
    FEED_PARTIALS_DROPPED,
    LIVE_AUDIO,
    LIVE_CAPACITY,
    LIVE_DELAY,
    LIVE_FRAMES,
    LIVE_FRAMES_REFUSED,
    LIVE_SESSIONS,
    LIVE_STREAMS,
    WAKE_FAILURES,
    Metrics,
)
from interview_agent.pipeline.analytics import AnalyticsStage
from interview_agent.pipeline.delivery import DeliveryStage
from interview_agent.pipeline.enhance import EnhancerStage
from interview_agent.pipeline.feed import KIND_BY_ITEM, Feed
from interview_agent.pipeline.ingest import Ingest
from interview_agent.pipeline.live import LiveOutlets, LiveStage
from interview_agent.pipeline.live_ingest import LiveIngest, LiveLimits, LiveMeters, LiveParts
from interview_agent.pipeline.reader import Reader
from interview_agent.pipeline.retention import RetentionStage
from interview_agent.pipeline.stt import SpeechStage
from interview_agent.runtime import upkeep
from interview_agent.runtime.loop import StageLoop
from interview_agent.runtime.service import Service
from interview_agent.stt.capacity import CapacityGauge
from interview_agent.stt.live_captions import LiveCaptions
from interview_agent.stt.track_transcriber import TrackTranscriber
from interview_agent.web.app import build_app, build_probe_app
from interview_agent.web.auth import ApiKeys, Authenticator, OpenDoor
from interview_agent.web.listen import listen
from interview_agent.web.live.limits import MAX_MESSAGE_BYTES, SocketLimits
from interview_agent.web.live.sockets import SOCKETS
from interview_agent.web.parts import Limits, Probe, ProbeParts, Readiness, WebParts

if TYPE_CHECKING:
    from pydantic import SecretStr

    from interview_agent.ports.transcriber import Transcriber
    from interview_agent.ports.work import StageHandler
    from interview_agent.settings import Settings

_EXTERNAL_PATIENCE_S = 60.0
_STALE_LOOP_S = 30.0
_PROBE_TIMEOUT_S = 3.0
_TRACKS_AT_ONCE = 8
_OTHER_STAGES_CONCURRENCY = 2

log = structlog.get_logger(__name__)

Loop = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Addresses:
    postgres_dsn: str
    redis_url: str


def _check_settings(settings: Settings) -> None:
    missing = [
        name
        for name, value in (
            ("POSTGRES_DSN", settings.postgres_dsn),
            ("REDIS_URL", settings.redis_url),
        )
        if settings.is_prod and value is None
    ]
    if missing:
        message = f"in production {' and '.join(missing)} must be set: nothing is embedded there"
        raise StartupError(message)
    if settings.is_prod and settings.auth_mode == "none":
        message = "AUTH_MODE=none is for development only (auth_none_in_prod)"
        raise StartupError(message)
    if settings.smtp_user and settings.smtp_security == "none":
        message = "SMTP_SECURITY=none would send SMTP_PASS in clear; use starttls or tls"
        raise StartupError(message)


def _secret(value: SecretStr | None) -> str | None:
    return value.get_secret_value() if value else None


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


async def _addresses(service: Service, stack: AsyncExitStack) -> _Addresses:
    settings = service.settings
    given = (_secret(settings.postgres_dsn), _secret(settings.redis_url))
    if not settings.embedded_postgres and not settings.embedded_redis:
        return _Addresses(given[0] or "", given[1] or "")
    embedded = EmbeddedStack(
        settings.data_dir,
        postgres=settings.embedded_postgres,
        valkey=settings.embedded_redis,
        on_child_exit=lambda child, _: service.metrics.count(EMBEDDED_EXITS, child=child),
    )
    stack.push_async_callback(embedded.stop)
    addresses = await embedded.start()
    service.metrics.start_at_zero(EMBEDDED_EXITS, ({"child": name} for name in embedded.alive()))
    service.loops["embedded"] = embedded.watch
    return _Addresses(
        given[0] or addresses.postgres_dsn or "", given[1] or addresses.redis_url or ""
    )


async def _connect(settings: Settings, dsn: str, stack: AsyncExitStack) -> Database:
    patience_ends = time.monotonic() + _EXTERNAL_PATIENCE_S
    while True:
        try:
            database = await open_database(
                dsn,
                size=settings.postgres_pool_size,
                name="interview-agent",
                connect_timeout_s=10.0,
            )
            break
        except DatabaseError as error:
            if time.monotonic() > patience_ends:
                cause = error.details.get("cause", error.code)
                message = f"PostgreSQL at POSTGRES_DSN cannot be used: {cause}"
                raise StartupError(message) from error
            await asyncio.sleep(1.0)
    stack.push_async_callback(database.close)
    return database


async def _database(service: Service, dsn: str, stack: AsyncExitStack) -> Database:
    database = await _connect(service.settings, dsn, stack)
    if service.settings.run_migrations:
        await migrate(database)
    await check_schema(database)
    return database


def _tracks_at_once(settings: Settings) -> int:
    """More than the threads that recognise: one that waits for its decoder keeps nobody waiting."""
    wanted = max(_TRACKS_AT_ONCE, settings.whisper_threads)
    return max(min(wanted, settings.decode_max_children // 2), 1)


async def _speech_stages(
    service: Service,
    records: PostgresStageRecords,
    live: LiveOutlets,
    blobs: LocalFsBlobStore,
    stack: AsyncExitStack,
) -> dict[Stage, StageHandler]:
    """Make the stages that hear: the one of recordings, and without a mock that of live tracks."""
    settings = service.settings
    language = None if settings.whisper_language == "auto" else settings.whisper_language

    def stage_of(transcriber: Transcriber) -> SpeechStage:
        on_heard = partial(service.metrics.count, AUDIO_HEARD)
        return SpeechStage(
            records, transcriber, live.broadcast, language=language, on_heard=on_heard
        )

    if settings.stt_provider == "mock":
        return {Stage.STT: stage_of(MockTranscriber())}
    model = await WhisperSpeechModel.load(
        size=settings.whisper_model_size,
        data_dir=settings.data_dir,
        device=settings.whisper_device,
        compute_type=settings.whisper_compute_type,
        beam_size=settings.whisper_beam_size,
        threads=settings.whisper_threads,
    )
    decoder = ChildDecoder(settings.decode_max_children, settings.decode_max_sec)
    stack.push_async_callback(decoder.aclose)
    transcriber = TrackTranscriber(
        blobs,
        decoder,
        model,
        vad_filter=settings.whisper_vad_filter,
        max_open_tracks=max(settings.decode_max_children - _tracks_at_once(settings), 1),
    )
    stack.push_async_callback(transcriber.aclose)
    open_captions = partial(LiveCaptions, blobs, decoder, model.captions)
    live_stage = LiveStage(live, open_captions, language=language)
    service.on_drain.append(live_stage.stop)
    gauge = CapacityGauge(model.captions.threads, await model.captions.stream_load())

    def measure(elapsed_s: float) -> tuple[float, int]:
        gauge.measure(model.captions.busy_s, elapsed_s, live_stage.streams)
        capacity = settings.live_max_streams or gauge.streams
        service.metrics.set(LIVE_STREAMS, live_stage.streams)
        service.metrics.set(LIVE_CAPACITY, capacity)
        return capacity, live_stage.streams

    worker = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"
    service.loops["live_capacity"] = partial(upkeep.report_capacity, live.records, worker, measure)
    return {Stage.LIVE: live_stage, Stage.STT: stage_of(transcriber)}


def _mailer(settings: Settings) -> SmtpMailer | None:
    if settings.smtp_host is None:
        return None
    return SmtpMailer(
        SmtpServer(
            host=settings.smtp_host,
            port=settings.smtp_port,
            security=settings.smtp_security,
            user=settings.smtp_user,
            password=_secret(settings.smtp_pass),
            sender=settings.email_from,
        )
    )


def _fresh(loop: StageLoop) -> Callable[[], Awaitable[bool]]:
    async def ticking() -> bool:
        return time.monotonic() - loop.ticked_at < _STALE_LOOP_S

    return ticking


def _answers(ping: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[bool]]:
    async def answers() -> bool:
        await ping()
        return True

    return answers


async def _add_stages(
    service: Service,
    stages: tuple[Stage, ...],
    database: Database,
    wake: ValkeyWakeQueue,
    broadcast: ValkeyBroadcast,
    blobs: LocalFsBlobStore,
    stack: AsyncExitStack,
) -> None:
    settings, metrics = service.settings, service.metrics
    records, work = PostgresStageRecords(database), PostgresWorkStore(database)
    owner = f"{socket.gethostname()}:{os.getpid()}"
    language = None if settings.whisper_language == "auto" else settings.whisper_language
    handlers: dict[Stage, StageHandler] = {
        Stage.ENHANCER: EnhancerStage(records, broadcast),
        Stage.ANALYTICS: AnalyticsStage(records, broadcast, language=language),
        Stage.DELIVERY: DeliveryStage(records, _mailer(settings), pii_masking=settings.pii_masking),
        Stage.RETENTION: RetentionStage(
            records,
            blobs,
            days_audio=settings.retention_days_audio,
            days_text=settings.retention_days_text,
        ),
    }
    if Stage.STT in stages:
        live = LiveOutlets(
            PostgresLiveRecords(database),
            broadcast,
            wake,
            on_delay=lambda delay_s: metrics.observe(LIVE_DELAY, delay_s * 1000),
        )
        handlers |= await _speech_stages(service, records, live, blobs, stack)
    concurrency = {Stage.STT: _tracks_at_once(settings), Stage.LIVE: settings.live_max_tracks}
    for stage in stages:
        if stage not in handlers:
            continue
        loop = StageLoop(
            handlers[stage],
            work,
            wake,
            metrics,
            owner=owner,
            concurrency=concurrency.get(stage, _OTHER_STAGES_CONCURRENCY),
            jitter=random.random,
        )
        service.stage_loops.append(loop)
        service.loops[stage.value] = loop.run
        service.loops[f"wakes_{stage.value}"] = partial(wake.run_reader, stage)
        service.checks[f"loop_{stage.value}"] = _fresh(loop)
    if stages:
        service.loops["quiet_meetings"] = partial(
            upkeep.close_quiet_meetings, work, wake, quiet_s=settings.meeting_quiet_sec
        )


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


async def _add_web(
    service: Service,
    database: Database,
    wake: ValkeyWakeQueue,
    broadcast: ValkeyBroadcast,
    blobs: LocalFsBlobStore,
    stack: AsyncExitStack,
) -> None:
    settings = service.settings
    if not serves_api(service.roles):
        app = build_probe_app(ProbeParts(service.metrics, _readiness_probe(service)))
        service.address = await listen(
            app, stack, host=settings.api_host, port=settings.metrics_port
        )
        return
    authenticator = _authenticator(settings)
    archive = PostgresArchive(database)
    ingest = Ingest(
        PostgresIntake(database),
        archive,
        blobs,
        wake,
        clock=lambda: datetime.now(UTC),
        accepting=lambda: not service.draining,
    )
    app = build_app(
        WebParts(
            ingest=ingest,
            live=_live_ingest(service, ingest, database),
            reader=Reader(archive, pii_masking=settings.pii_masking),
            feed=_feed(service, archive, broadcast),
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


def _add_upkeep(
    service: Service, database: Database, wake: ValkeyWakeQueue, blobs: LocalFsBlobStore
) -> None:
    metrics, work = service.metrics, PostgresWorkStore(database)
    service.checks |= {
        "database": _answers(database.ping),
        "redis": _answers(wake.ping),
        "storage": _answers(blobs.check),
    }
    service.loops |= {
        "wakes": wake.run_publisher,
        "loop_lag": partial(upkeep.measure_loop_lag, metrics),
        "gauges": partial(
            upkeep.refresh_gauges,
            metrics,
            work,
            blobs,
            service.readiness,
            storage_mode=service.settings.storage_mode,
        ),
    }
    if sweeps(service.roles):
        service.loops["orphans"] = partial(upkeep.sweep_orphans, PostgresArchive(database), blobs)


@asynccontextmanager
async def open_service(settings: Settings, roles: frozenset[Role]) -> AsyncIterator[Service]:
    """Start everything that the roles need, in order, and close it in the opposite order.

    Raises `StartupError` with a sentence that says what to do.
    """
    _check_settings(settings)
    loop = asyncio.get_running_loop()
    stages = stages_of(roles)
    service = Service(
        settings,
        roles,
        Metrics("-".join(sorted(role.value for role in roles)), defer=loop.call_soon_threadsafe),
    )
    service.metrics.set(BUILD, 1, version=__version__)
    service.metrics.count(WAKE_FAILURES, 0)
    service.metrics.count(BROADCAST_FAILURES, 0)
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    async with AsyncExitStack() as stack:
        addresses = await _addresses(service, stack)
        database = await _database(service, addresses.postgres_dsn, stack)
        blobs = LocalFsBlobStore(settings.blob_dir)
        stack.push_async_callback(blobs.aclose)
        await blobs.prepare()
        await blobs.check()
        wake = ValkeyWakeQueue(
            addresses.redis_url,
            stages=stages,
            consumer=f"worker:{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}",
            max_waiting=settings.queue_max_waiting,
            on_failure=partial(service.metrics.count, WAKE_FAILURES),
        )
        stack.push_async_callback(wake.aclose)
        broadcast = ValkeyBroadcast(
            addresses.redis_url, on_failure=partial(service.metrics.count, BROADCAST_FAILURES)
        )
        stack.push_async_callback(broadcast.aclose)
        service.loops["broadcast"] = broadcast.run_publisher
        await _add_stages(service, stages, database, wake, broadcast, blobs, stack)
        _add_upkeep(service, database, wake, blobs)
        await _add_web(service, database, wake, broadcast, blobs, stack)
        yield service


async def migrate_database(settings: Settings) -> list[str]:
    """Apply missing migrations to the configured or embedded database; return their names."""
    async with AsyncExitStack() as stack:
        service = Service(settings, frozenset(), Metrics("migrate"))
        addresses = await _addresses(service, stack)
        return await migrate(await _connect(settings, addresses.postgres_dsn, stack))
