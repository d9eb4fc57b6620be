"""Enhancement: readable text beside the raw one, segment by segment."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from interview_agent.domain.enhancement import enhance
from interview_agent.domain.route import Stage
from interview_agent.ports.stage_records import EnhancedText, StageRecords
from interview_agent.ports.work import Claim, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from interview_agent.domain.transcript import Segment

_BATCH = 200


def _enhance_all(segments: Sequence[Segment]) -> list[EnhancedText]:
    texts = []
    for segment in segments:
        enhanced = enhance(segment.raw_text, segment.language)
        texts.append(
            EnhancedText(segment.segment_id, segment.revision, enhanced.text, enhanced.changes)
        )
    return texts


class EnhancerStage:
    """Implements `ports.work.StageHandler`."""

    stage = Stage.ENHANCER

    def __init__(self, records: StageRecords) -> None:
        self._records = records

    async def run(self, claim: Claim, alive: Callable[[], None]) -> Outcome:
        """Enhance every segment whose current revision has not been."""
        while segments := await self._records.unenhanced(claim, _BATCH):
            texts = await asyncio.to_thread(_enhance_all, segments)
            await self._records.commit_enhanced(claim, texts)
            alive()
        return Outcome()

    async def give_up(self, claim: Claim, reason: str) -> bool:  # noqa: ARG002 - the port's form
        """Let the raw text stand."""
        return False
