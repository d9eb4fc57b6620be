"""Retention: audio and words go when their time is over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interview_agent.domain.route import Stage
from interview_agent.pipeline.erasure.batches import CHUNKS_AT_ONCE, forget_rows
from interview_agent.ports.erasure import TEXT
from interview_agent.ports.work import Claim, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from interview_agent.ports.blob_store import BlobStore
    from interview_agent.ports.erasure import ErasureRecords

_LOOK_AGAIN_S = 6 * 3600.0


class RetentionStage:
    """Implements `ports.work.StageHandler`; looks at each meeting a few times a day."""

    stage = Stage.RETENTION

    def __init__(
        self, records: ErasureRecords, blobs: BlobStore, *, days_audio: int, days_text: int
    ) -> None:
        self._records = records
        self._blobs = blobs
        self._days_audio = days_audio
        self._days_text = days_text

    async def run(self, claim: Claim, alive: Callable[[], None]) -> Outcome:
        """Delete what is older than its limit; ask for another look while anything is left."""
        await self._forget_audio(claim, alive)
        await self._forget_text(claim, alive)
        left = await self._records.left(claim)
        return Outcome(again_in_s=_LOOK_AGAIN_S if left else None)

    async def give_up(self, claim: Claim, reason: str) -> bool:  # noqa: ARG002 - the port's form
        """Leave it to an operator: the work stays visible as failed."""
        return False

    async def _forget_audio(self, claim: Claim, alive: Callable[[], None]) -> None:
        days = self._days_audio
        deletion = await self._records.expired_audio(claim, days)
        if deletion is None:
            return
        while keys := await self._records.next_audio(claim, CHUNKS_AT_ONCE, older_than_days=days):
            # Files first: a key is forgotten only when nothing is stored under it any more.
            await self._blobs.delete(keys)
            await self._records.forget_audio(claim, deletion, keys)
            alive()
        await self._records.finish(claim, deletion)

    async def _forget_text(self, claim: Claim, alive: Callable[[], None]) -> None:
        deletion = await self._records.expired_text(claim, self._days_text)
        if deletion is not None:
            await forget_rows(self._records, claim, deletion, TEXT, alive)
            await self._records.finish(claim, deletion)
