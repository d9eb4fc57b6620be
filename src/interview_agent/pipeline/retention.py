"""Retention: audio and words go when their time is over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interview_agent.domain.route import Stage
from interview_agent.ports.work import Claim, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from interview_agent.ports.blob_store import BlobStore
    from interview_agent.ports.stage_records import StageRecords

_BATCH = 200
_LOOK_AGAIN_S = 6 * 3600.0


class RetentionStage:
    """Implements `ports.work.StageHandler`; looks at each meeting a few times a day."""

    stage = Stage.RETENTION

    def __init__(
        self, records: StageRecords, blobs: BlobStore, *, days_audio: int, days_text: int
    ) -> None:
        self._records = records
        self._blobs = blobs
        self._days_audio = days_audio
        self._days_text = days_text

    async def run(self, claim: Claim, alive: Callable[[], None]) -> Outcome:
        """Delete what is older than its limit; ask for another look while anything is left."""
        while keys := await self._records.expired_blobs(claim, self._days_audio, _BATCH):
            # Files first: a key is forgotten only when nothing is stored under it any more.
            await self._blobs.delete(keys)
            await self._records.forget_blobs(claim, keys)
            alive()
        words_gone = await self._records.forget_text(claim, self._days_text)
        return Outcome(again_in_s=None if words_gone else _LOOK_AGAIN_S)

    async def give_up(self, claim: Claim, reason: str) -> bool:  # noqa: ARG002 - the port's form
        """Leave it to an operator: the work stays visible as failed."""
        return False
