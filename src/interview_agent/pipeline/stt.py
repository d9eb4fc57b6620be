"""Speech to text: advances one track as far as its audio allows."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from interview_agent.domain.live import Nudge
from interview_agent.domain.meeting import Consent, playable
from interview_agent.domain.route import Stage
from interview_agent.ports.transcriber import AudioPart, TrackInput, Transcriber
from interview_agent.ports.work import Claim, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from interview_agent.ports.broadcast import Broadcast
    from interview_agent.ports.stage_records import StageRecords, TrackRecord


def _input_of(record: TrackRecord, default_language: str | None) -> TrackInput:
    meeting = record.meeting
    heard = playable(record.chunks, closed=meeting.closed)
    return TrackInput(
        meeting_id=meeting.meeting_id,
        track=record.track,
        language=meeting.language_or(default_language),
        parts=tuple(AudioPart.of(chunk) for chunk in heard),
        closed=meeting.closed,
        checkpoint=record.checkpoint,
    )


class SpeechStage:
    """Implements `ports.work.StageHandler`.

    `language` is that of meetings which name none, None to detect it. `on_heard` is told the
    seconds of audio that each step added, listeners that there is more to read.
    """

    stage = Stage.STT

    def __init__(
        self,
        records: StageRecords,
        transcriber: Transcriber,
        broadcast: Broadcast,
        *,
        language: str | None,
        on_heard: Callable[[float], None],
    ) -> None:
        self._records = records
        self._transcriber = transcriber
        self._broadcast = broadcast
        self._language = language
        self._on_heard = on_heard

    async def run(self, claim: Claim, alive: Callable[[], None]) -> Outcome:
        """Transcribe and commit step by step until no more audio can be heard."""
        record = await self._records.track(claim)
        if record.meeting.consent is Consent.DENIED:
            return Outcome()
        # A track may have tens of thousands of chunks.
        track = await asyncio.to_thread(_input_of, record, self._language)
        heard_s = record.heard_s
        async for progress in self._transcriber.advance(track):
            shifted = progress.shifted(record.offset_s)
            if await self._records.commit_progress(claim, shifted):
                self._broadcast.publish(claim.meeting_id, Nudge())
            self._on_heard(max(progress.heard_s - heard_s, 0.0))
            heard_s = max(progress.heard_s, heard_s)
            alive()
        return Outcome()

    async def give_up(self, claim: Claim, reason: str) -> bool:
        """Take the first chunk that was not yet heard for the cause, and go on without it."""
        return await self._records.fail_next_chunk(claim, reason) is not None
