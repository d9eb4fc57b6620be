"""The stages that hear, with the one model of the process."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from interview_agent.adapters.decoder.child_decoder import ChildDecoder
from interview_agent.adapters.mock_stt import MockTranscriber
from interview_agent.adapters.postgres import (
    PostgresDeletions,
    PostgresLiveRecords,
    PostgresStageRecords,
)
from interview_agent.adapters.whisper.model import WhisperSpeechModel
from interview_agent.adapters.whisper.model_files import is_usable
from interview_agent.domain.route import Stage
from interview_agent.metrics import (
    AUDIO_HEARD,
    LIVE_CAPACITY,
    LIVE_DELAY,
    LIVE_STREAMS,
    MODEL_LOAD,
    MODEL_OK,
    SPEECH_BUSY,
)
from interview_agent.pipeline.live import LiveOutlets, LiveStage
from interview_agent.pipeline.stt import SpeechStage
from interview_agent.runtime import gauges, upkeep
from interview_agent.stt.capacity import CapacityGauge
from interview_agent.stt.live_captions import LiveCaptions
from interview_agent.stt.track_transcriber import TrackTranscriber

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from interview_agent.compose.servers import Backends
    from interview_agent.ports.transcriber import Transcriber
    from interview_agent.ports.work import StageHandler
    from interview_agent.runtime.service import Service
    from interview_agent.settings import Settings

_TRACKS_AT_ONCE = 8


def tracks_at_once(settings: Settings) -> int:
    """More than the threads that recognise: one that waits for its decoder keeps nobody waiting."""
    wanted = max(_TRACKS_AT_ONCE, settings.whisper_threads)
    return max(min(wanted, settings.decode_max_children // 2), 1)


def default_language(settings: Settings) -> str | None:
    """Return the language of meetings that name none, None to detect it."""
    return None if settings.whisper_language == "auto" else settings.whisper_language


async def speech_stages(
    service: Service, parts: Backends, stack: AsyncExitStack
) -> dict[Stage, StageHandler]:
    """Make the stages that hear: the one of recordings, and without a mock that of live tracks."""
    settings, metrics = service.settings, service.metrics
    metrics.start_at_zero(AUDIO_HEARD)
    metrics.start_at_zero(SPEECH_BUSY, ({"kind": kind} for kind in ("live", "recording")))
    metrics.start_at_zero(LIVE_DELAY)
    metrics.set(LIVE_STREAMS, 0)
    metrics.set(LIVE_CAPACITY, 0)

    def stage_of(transcriber: Transcriber) -> SpeechStage:
        return SpeechStage(
            PostgresStageRecords(parts.database),
            transcriber,
            parts.broadcast,
            language=default_language(settings),
            on_heard=partial(metrics.count, AUDIO_HEARD),
        )

    if settings.stt_provider == "mock":
        metrics.set(MODEL_OK, 1)
        return {Stage.STT: stage_of(MockTranscriber())}
    loading_s = time.monotonic()
    model = await WhisperSpeechModel.load(
        size=settings.whisper_model_size,
        data_dir=settings.data_dir,
        device=settings.whisper_device,
        compute_type=settings.whisper_compute_type,
        beam_size=settings.whisper_beam_size,
        threads=settings.whisper_threads,
    )
    metrics.set(MODEL_LOAD, time.monotonic() - loading_s)
    metrics.set(MODEL_OK, 1)
    service.loops["model_files"] = partial(
        gauges.watch_model,
        metrics,
        partial(is_usable, settings.whisper_model_size, settings.data_dir),
    )
    decoder = ChildDecoder(settings.decode_max_children, settings.decode_max_sec)
    stack.push_async_callback(decoder.aclose)
    transcriber = TrackTranscriber(
        parts.blobs,
        decoder,
        model,
        vad_filter=settings.whisper_vad_filter,
        max_open_tracks=max(settings.decode_max_children - tracks_at_once(settings), 1),
    )
    stack.push_async_callback(transcriber.aclose)
    service.loops["deleted_tracks"] = partial(
        upkeep.forget_deleted,
        PostgresDeletions(parts.database),
        lambda: transcriber.open_meetings,
        transcriber.forget,
    )
    live = await _live_stage(service, parts, model, decoder)
    return {Stage.LIVE: live, Stage.STT: stage_of(transcriber)}


async def _live_stage(
    service: Service, parts: Backends, model: WhisperSpeechModel, decoder: ChildDecoder
) -> LiveStage:
    settings, metrics = service.settings, service.metrics
    captions, records = model.captions, PostgresLiveRecords(parts.database)
    outlets = LiveOutlets(
        records,
        parts.broadcast,
        parts.wake,
        on_delay=lambda delay_s: metrics.observe(LIVE_DELAY, delay_s * 1000),
    )
    stage = LiveStage(
        outlets,
        partial(LiveCaptions, parts.blobs, decoder, captions),
        language=default_language(settings),
    )
    service.on_drain.append(stage.stop)
    gauge = CapacityGauge(captions.threads, await captions.stream_load())
    counted_s = {"live": 0.0, "recording": 0.0}

    def count_busy() -> None:
        for kind, busy_s in (("live", captions.busy_s), ("recording", model.busy_s)):
            metrics.count(SPEECH_BUSY, busy_s - counted_s[kind], kind=kind)
            counted_s[kind] = busy_s

    def measure(elapsed_s: float) -> tuple[float, int]:
        count_busy()
        gauge.measure(captions.busy_s, elapsed_s, stage.streams)
        capacity = settings.live_max_streams or gauge.streams
        metrics.set(LIVE_STREAMS, stage.streams)
        metrics.set(LIVE_CAPACITY, capacity)
        return capacity, stage.streams

    service.loops["live_capacity"] = partial(upkeep.report_capacity, records, parts.worker, measure)
    return stage
