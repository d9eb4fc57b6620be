"""Whether the interview began when it was meant to."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from interview_agent.domain.analytics.measures.measurement import (
    Measurement,
    Reason,
    not_measurable,
)

if TYPE_CHECKING:
    from interview_agent.domain.analytics.reading import Reading


def punctuality(reading: Reading) -> Measurement:
    """Actual start less the scheduled one, in seconds; a time without a zone is UTC."""
    scheduled = _moment(reading.session.scheduled_at)
    started = _moment(reading.session.started_at)
    if scheduled is None:
        return not_measurable("s", Reason.NO_SCHEDULE)
    if started is None:
        return not_measurable("s", Reason.NO_START)
    return Measurement(round((started - scheduled).total_seconds(), 3), "s", 1)


def _moment(text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
