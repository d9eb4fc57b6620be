"""The stages that a process works on, each in its loop."""

from __future__ import annotations

import random
from functools import partial
from typing import TYPE_CHECKING

from interview_agent.adapters.postgres import (
    PostgresErasureRecords,
    PostgresStageRecords,
    PostgresWorkStore,
)
from interview_agent.adapters.smtp import SmtpMailer, SmtpServer
from interview_agent.compose.servers import secret_of
from interview_agent.compose.speech import default_language, speech_stages, tracks_at_once
from interview_agent.domain.readiness.findings import LOOP_NOT_TICKING
from interview_agent.domain.route import Stage
from interview_agent.pipeline.analytics import AnalyticsStage
from interview_agent.pipeline.delivery import DeliveryStage
from interview_agent.pipeline.enhance import EnhancerStage
from interview_agent.pipeline.erasure import ErasureStage, RetentionStage
from interview_agent.runtime import upkeep
from interview_agent.runtime.loop import StageLoop
from interview_agent.runtime.readiness import ticking

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AsyncExitStack

    from interview_agent.compose.connector import Bots
    from interview_agent.compose.servers import Backends
    from interview_agent.ports.work import StageHandler
    from interview_agent.runtime.service import Service
    from interview_agent.settings import Settings

_OTHER_STAGES_CONCURRENCY = 2


async def add_stages(
    service: Service,
    stages: Sequence[Stage],
    parts: Backends,
    stack: AsyncExitStack,
    bots: Bots | None,
) -> None:
    """Make the loops of these stages."""
    settings = service.settings
    work = PostgresWorkStore(parts.database)
    handlers = _quiet_stages(settings, parts, bots)
    if Stage.STT in stages:
        handlers |= await speech_stages(service, parts, stack)
    concurrency = {Stage.STT: tracks_at_once(settings), Stage.LIVE: settings.live_max_tracks}
    for stage in stages:
        # With a mock no track is live.
        if stage not in handlers:
            continue
        loop = StageLoop(
            handlers[stage],
            work,
            parts.wake,
            service.metrics,
            owner=parts.worker,
            concurrency=concurrency.get(stage, _OTHER_STAGES_CONCURRENCY),
            jitter=random.random,
            spans=service.spans,
        )
        service.stage_loops.append(loop)
        service.loops[stage.value] = loop.run
        service.loops[f"wakes_{stage.value}"] = partial(parts.wake.run_reader, stage)
        service.checks.add(ticking(loop, stage.value), LOOP_NOT_TICKING)
    if stages:
        service.loops["quiet_meetings"] = partial(
            upkeep.close_quiet_meetings, work, parts.wake, quiet_s=settings.meeting_quiet_sec
        )


def _quiet_stages(
    settings: Settings, parts: Backends, bots: Bots | None
) -> dict[Stage, StageHandler]:
    """Make the stages that hear nothing."""
    records = PostgresStageRecords(parts.database)
    forgetting = PostgresErasureRecords(parts.database)
    return {
        Stage.ENHANCER: EnhancerStage(records, parts.broadcast),
        Stage.ANALYTICS: AnalyticsStage(
            records, parts.broadcast, language=default_language(settings)
        ),
        Stage.DELIVERY: DeliveryStage(records, _mailer(settings), pii_masking=settings.pii_masking),
        Stage.ERASURE: ErasureStage(
            forgetting, parts.blobs, parts.wake, bots=bots.call_back if bots else None
        ),
        Stage.RETENTION: RetentionStage(
            forgetting,
            parts.blobs,
            days_audio=settings.retention_days_audio,
            days_text=settings.retention_days_text,
        ),
    }


def _mailer(settings: Settings) -> SmtpMailer | None:
    if settings.smtp_host is None:
        return None
    return SmtpMailer(
        SmtpServer(
            host=settings.smtp_host,
            port=settings.smtp_port,
            security=settings.smtp_security,
            user=settings.smtp_user,
            password=secret_of(settings.smtp_pass),
            sender=settings.email_from,
        )
    )
