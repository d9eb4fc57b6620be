"""What a report is computed from."""

from __future__ import annotations

from datetime import UTC, datetime

from interview_agent.domain.meeting import Consent, Meeting, Mode
from interview_agent.pipeline.analytics import session_of
from interview_agent.ports.stage_records import MeetingRecord

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_the_plan_may_list_questions_as_texts_or_as_objects() -> None:
    meeting = Meeting(
        meeting_id="m1",
        owner="subject:a",
        mode=Mode.REALTIME,
        language="ru",
        consent=Consent.GRANTED,
        context={"plan": [" Один? ", {"question": "Два?"}, {"text": "Три?"}, 4, ""]},
        recipients=(),
        created_at=NOW,
        last_audio_at=NOW,
        audio_version=1,
        closed_version=1,
        reported_version=None,
        finish_requested=True,
        version=0,
        event=0,
        expected_last_seq={},
    )
    session = session_of(MeetingRecord(meeting, (), (), ()), default_language=None)
    assert session.plan == ("Один?", "Два?", "Три?")
