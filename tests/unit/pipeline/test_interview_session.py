"""What a report is computed from."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from interview_agent.domain.analytics.report import build_report
from interview_agent.domain.meeting import Consent, Meeting, Mode
from interview_agent.pipeline.analytics import session_of
from interview_agent.ports.stage_records import MeetingRecord

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def meeting_of(context: dict[str, Any], mode: Mode = Mode.REALTIME) -> Meeting:
    return Meeting(
        meeting_id="m1",
        owner="subject:a",
        mode=mode,
        language="ru",
        consent=Consent.GRANTED,
        context=context,
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


def test_the_plan_may_list_questions_as_texts_or_as_objects() -> None:
    meeting = meeting_of({"plan": [" Один? ", {"question": "Два?"}, {"text": "Три?"}, 4, ""]})
    session = session_of(MeetingRecord(meeting, (), (), ()), default_language=None)
    assert session.plan == ("Один?", "Два?", "Три?")


@pytest.mark.parametrize(
    ("mode", "after_min", "value", "reason"),
    [
        (Mode.REALTIME, 11, 60.0, None),
        (Mode.REALTIME, None, None, "no_start"),
        (Mode.POSTMEETING, 11, None, "no_start"),
    ],
)
def test_a_meeting_starts_with_its_first_live_audio(
    mode: Mode, after_min: int | None, value: float | None, reason: str | None
) -> None:
    """The meeting was made ten minutes ahead of its schedule."""
    scheduled_at = (NOW + timedelta(minutes=10)).isoformat()
    first = None if after_min is None else NOW + timedelta(minutes=after_min)
    record = MeetingRecord(meeting_of({"scheduled_at": scheduled_at}, mode), (), (), (), first)
    session = session_of(record, default_language=None)
    figure = build_report(session)["metrics"]["punctuality_s"]
    assert (figure["value"], figure["reason"]) == (value, reason)
