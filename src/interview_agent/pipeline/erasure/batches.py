"""The loops over bounded batches that everything which forgets is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from interview_agent.ports.erasure import Content, ErasureRecords, OpenDeletion
    from interview_agent.ports.work import Claim

CHUNKS_AT_ONCE = 500
ROWS_AT_ONCE = 500


async def forget_rows(
    records: ErasureRecords,
    claim: Claim,
    deletion: OpenDeletion,
    contents: Iterable[Content],
    alive: Callable[[], None],
) -> None:
    """Delete all rows of these kinds, one kind after the other."""
    for content in contents:
        while await records.forget_rows(claim, deletion, content, ROWS_AT_ONCE) == ROWS_AT_ONCE:
            alive()
        alive()
