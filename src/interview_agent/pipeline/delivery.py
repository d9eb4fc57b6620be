"""Delivery: the report goes out by e-mail, once per version."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from interview_agent.domain.analytics.report_text import format_report
from interview_agent.domain.analytics.report_wording import tongue
from interview_agent.domain.ids import is_address
from interview_agent.domain.pii.disclosure import QuoteMask
from interview_agent.domain.route import Stage
from interview_agent.ports.work import Claim, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from interview_agent.domain.meeting import Meeting
    from interview_agent.ports.mailer import Mailer
    from interview_agent.ports.stage_records import StageRecords

CHANNEL = "email"
_SUBJECT = {"ru": "Отчёт по встрече {}", "en": "Report on the meeting {}"}


def recipients_of(meeting: Meeting) -> list[str]:
    """Return the addresses given at start or in the context, each once."""
    in_context: Any = meeting.context.get("recipients")
    listed: Sequence[Any] = in_context if isinstance(in_context, list) else ()
    addresses = [*meeting.recipients, *(each for each in listed if isinstance(each, str))]
    stripped = (address.strip() for address in addresses)
    return list(dict.fromkeys(address for address in stripped if is_address(address)))


class DeliveryStage:
    """Implements `ports.work.StageHandler`; without a mailer every report is skipped, visibly."""

    stage = Stage.DELIVERY

    def __init__(self, records: StageRecords, mailer: Mailer | None, *, pii_masking: bool) -> None:
        self._records = records
        self._mailer = mailer
        self._pii_masking = pii_masking

    async def run(self, claim: Claim, alive: Callable[[], None]) -> Outcome:
        """Send the newest report unless that was done. Raises `DeliveryError`."""
        record = await self._records.report(claim)
        if record is None or record.delivered:
            return Outcome()
        recipients = recipients_of(record.meeting)
        skipped = (
            "not_configured" if self._mailer is None else None if recipients else "no_recipients"
        )
        if self._mailer is None or skipped:
            await self._records.commit_delivery(claim, record.version, CHANNEL, "skipped", skipped)
            return Outcome()
        await self._records.commit_delivery(claim, record.version, CHANNEL, "pending", None)
        alive()
        text = await self._letter(claim, record.report)
        refused = await self._mailer.send(
            recipients,
            _SUBJECT[tongue(record.report.get("language"))].format(record.meeting.meeting_id),
            text,
            message_id=f"report-{record.meeting.meeting_id}-{record.version}",
        )
        # Another try would send it again to those who have it.
        reason = f"refused: {len(refused)} of {len(recipients)} recipients" if refused else None
        await self._records.commit_delivery(claim, record.version, CHANNEL, "sent", reason)
        return Outcome()

    async def _letter(self, claim: Claim, report: Mapping[str, Any]) -> str:
        text = format_report(report)
        if not self._pii_masking:
            return text
        segments = (await self._records.record(claim)).segments
        return await asyncio.to_thread(lambda: QuoteMask(segments).text(text))

    async def give_up(self, claim: Claim, reason: str) -> bool:
        """Record the failure beside the report, which stands."""
        record = await self._records.report(claim)
        if record is not None:
            await self._records.commit_delivery(claim, record.version, CHANNEL, "failed", reason)
        return False
