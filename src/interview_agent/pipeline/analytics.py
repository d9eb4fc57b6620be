"""Analytics: one report for each closed transcript."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from interview_agent.domain.analytics.measures.plan import planned_questions
from interview_agent.domain.analytics.reading import InterviewSession
from interview_agent.domain.analytics.report import build_report
from interview_agent.domain.live import Nudge
from interview_agent.domain.meeting import (
    Mode,
    gaps_by_track,
    roles_by_speaker,
    speakers_by_track,
)
from interview_agent.domain.route import Stage
from interview_agent.ports.work import Claim, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from interview_agent.ports.broadcast import Broadcast
    from interview_agent.ports.stage_records import MeetingRecord, StageRecords


def session_of(record: MeetingRecord, *, default_language: str | None) -> InterviewSession:
    """Put together what the report is computed from: speakers, roles, length and gaps."""
    meeting = record.meeting
    speakers = speakers_by_track(
        {each.track: each.speaker_hint for each in record.tracks}, meeting.context
    )
    detected = next((each.language for each in record.tracks if each.language), None)
    holes = gaps_by_track(meeting.expected_last_seq, record.runs)
    gaps: list[dict[str, Any]] = [
        {"track": gap.track, "first_seq": gap.first_seq, "last_seq": gap.last_seq}
        for of_track in holes.values()
        for gap in of_track
    ]
    scheduled_at = meeting.context.get("scheduled_at")
    return InterviewSession(
        segments=tuple(
            replace(segment, speaker=speakers.get(segment.track)) for segment in record.segments
        ),
        duration_s=max((each.offset_s + each.heard_s for each in record.tracks), default=0.0),
        channels_separate=len(record.tracks) > 1,
        roles=roles_by_speaker(speakers, meeting.context),
        language=detected or meeting.language or default_language,
        verbatim=False,
        plan=tuple(planned_questions(meeting.context)),
        scheduled_at=scheduled_at if isinstance(scheduled_at, str) else None,
        started_at=_started_at(record),
        gaps=tuple(gaps),
        transcript_version=meeting.version + 1,
        report_version=meeting.version + 1,
    )


def _started_at(record: MeetingRecord) -> str | None:
    if record.meeting.mode is not Mode.REALTIME:
        # Its audio came when somebody sent the recording, which says nothing of the meeting.
        return None
    return record.first_audio_at.isoformat() if record.first_audio_at else None


class AnalyticsStage:
    """Implements `ports.work.StageHandler`; `language` is that of meetings that name none."""

    stage = Stage.ANALYTICS

    def __init__(
        self, records: StageRecords, broadcast: Broadcast, *, language: str | None
    ) -> None:
        self._records = records
        self._broadcast = broadcast
        self._language = language

    async def run(self, claim: Claim, alive: Callable[[], None]) -> Outcome:
        """Report on a closed transcript, unless the newest report covers it already."""
        record = await self._records.record(claim)
        meeting = record.meeting
        if not meeting.closed or meeting.reported_version == meeting.audio_version:
            return Outcome()
        session = session_of(record, default_language=self._language)
        report = await asyncio.to_thread(build_report, session)
        alive()
        await self._records.commit_report(claim, meeting.audio_version, report)
        self._broadcast.publish(claim.meeting_id, Nudge())
        return Outcome()

    async def give_up(self, claim: Claim, reason: str) -> bool:  # noqa: ARG002 - the port's form
        """Leave the transcript without a report; the meeting shows the failure."""
        return False
