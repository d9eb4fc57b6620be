"""Enhancement: readable text beside the raw one, segment by segment."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from interview_agent.domain.live import Nudge
from interview_agent.domain.route import Stage
from interview_agent.domain.text.enhancement import enhance, runs_on
from interview_agent.ports.stage_records import EnhancedText, PlainSegment, StageRecords
from interview_agent.ports.work import Claim, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from interview_agent.ports.broadcast import Broadcast

_BATCH = 200


def _enhance_all(plain: Sequence[PlainSegment]) -> list[EnhancedText]:
    texts = []
    for each in plain:
        segment = each.segment
        enhanced = enhance(
            segment.raw_text,
            segment.language,
            opens=not runs_on(each.previous_raw_text, segment.raw_text),
            closes=not runs_on(segment.raw_text, each.next_raw_text),
        )
        texts.append(
            EnhancedText(
                segment.segment_id,
                segment.revision,
                enhanced.text,
                enhanced.changes,
                mark=each.mark,
            )
        )
    return texts


class EnhancerStage:
    """Implements `ports.work.StageHandler`."""

    stage = Stage.ENHANCER

    def __init__(self, records: StageRecords, broadcast: Broadcast) -> None:
        self._records = records
        self._broadcast = broadcast

    async def run(self, claim: Claim, alive: Callable[[], None]) -> Outcome:
        """Enhance every segment that changed, in the light of its neighbours."""
        while plain := await self._records.unenhanced(claim, _BATCH):
            texts = await asyncio.to_thread(_enhance_all, plain)
            if await self._records.commit_enhanced(claim, texts):
                self._broadcast.publish(claim.meeting_id, Nudge())
            alive()
            if len(plain) < _BATCH:
                # Who changes a segment meanwhile wants this stage again.
                break
        return Outcome()

    async def give_up(self, claim: Claim, reason: str) -> bool:  # noqa: ARG002 - the port's form
        """Let the raw text stand."""
        return False
