"""Erasure: nothing stays of a meeting that was deleted but its id and the proof."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from interview_agent.domain.errors import QueueError
from interview_agent.domain.route import Stage
from interview_agent.pipeline.erasure.batches import CHUNKS_AT_ONCE, forget_rows
from interview_agent.ports.erasure import Content
from interview_agent.ports.work import Claim, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from interview_agent.ports.blob_store import BlobStore
    from interview_agent.ports.erasure import BotRecall, ErasureRecords, OpenDeletion
    from interview_agent.ports.wake_queue import WakeQueue

SETTLE_S = 10.0
"""What was let in before the deletion may still put a file there; so long after, it is swept."""

CALL_BACK_S = 40.0
"""How long erasure tries to call a bot back; a gateway that is away keeps nothing longer."""

_AGAIN_S = 5.0
_FAILED_AGAIN_S = 10.0

log = structlog.get_logger(__name__)


class ErasureStage:
    """Implements `ports.work.StageHandler`; goes on from wherever it was interrupted.

    It looks twice: at once, and after `settle_s` for what came in behind it. A bot is called back
    first, for `call_back_s` at most; without `bots` nobody can do that.
    """

    stage = Stage.ERASURE

    def __init__(
        self,
        records: ErasureRecords,
        blobs: BlobStore,
        wake: WakeQueue,
        *,
        bots: BotRecall | None = None,
        settle_s: float = SETTLE_S,
        call_back_s: float = CALL_BACK_S,
    ) -> None:
        self._records = records
        self._blobs = blobs
        self._wake = wake
        self._bots = bots
        self._settle_s = settle_s
        self._call_back_s = call_back_s

    async def run(self, claim: Claim, alive: Callable[[], None]) -> Outcome:
        """Delete what there is, and close the proof once nothing can come any more."""
        deletion = await self._records.requested(claim)
        if deletion is None:
            return Outcome()
        bot_left = self._bots is None or await self._bots.call_back(claim.meeting_id)
        alive()
        await self._erase_audio(claim, deletion, alive)
        await forget_rows(self._records, claim, deletion, Content, alive)
        if not bot_left and deletion.age_s < self._call_back_s:
            return Outcome(again_in_s=_AGAIN_S)
        await self._records.forget_connector(claim, deletion)
        try:
            await self._wake.forget(claim.meeting_id)
        except QueueError as error:
            # Only ids are there; they go when the server is back.
            log.warning("hints_not_forgotten", cause=str(error))
            return Outcome(again_in_s=_AGAIN_S)
        if deletion.age_s < self._settle_s:
            return Outcome(again_in_s=self._settle_s - deletion.age_s)
        await self._records.finish(claim, deletion)
        log.info("meeting_erased", deletion_id=deletion.id)
        return Outcome()

    async def give_up(self, claim: Claim, reason: str) -> bool:
        """Never give up: what has to be deleted is tried again."""
        log.error("erasure_failed", reason=reason)
        await self._records.try_again(claim, _FAILED_AGAIN_S)
        return True

    async def _erase_audio(
        self, claim: Claim, deletion: OpenDeletion, alive: Callable[[], None]
    ) -> None:
        while keys := await self._records.next_audio(claim, CHUNKS_AT_ONCE):
            # Files first: a row is forgotten only when nothing is stored under its key any more.
            await self._blobs.delete(keys)
            await self._records.forget_chunks(claim, deletion, keys)
            alive()
        while await self._records.forget_silent_chunks(claim, deletion, CHUNKS_AT_ONCE):
            alive()
        folder = f"meetings/{claim.meeting_id}"
        while count := await self._blobs.delete_under(folder, limit=CHUNKS_AT_ONCE):
            await self._records.count_strays(claim, deletion, count)
            alive()
