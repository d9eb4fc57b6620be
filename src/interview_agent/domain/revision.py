"""How a transcript changes when a stretch of it is derived again: ids stay, revisions grow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from interview_agent.domain.transcript import DraftSegment, Segment

MIN_SHARED = 0.5
"""Least part of the shorter segment that two versions of one segment share in time."""


@dataclass(frozen=True, slots=True)
class Revision:
    """What becomes of one position: a new segment, a changed one, or one that stays.

    `segment_id` is None for a new segment. `changed` is False when words and times are the same.
    """

    draft: DraftSegment
    segment_id: str | None
    changed: bool


@dataclass(frozen=True, slots=True)
class RevisionPlan:
    """The new order of a stretch, and the ids of segments that are no longer part of it."""

    revisions: tuple[Revision, ...]
    retracted: tuple[str, ...]


def _same(old: Segment, draft: DraftSegment) -> bool:
    return (
        old.is_final
        and old.raw_text == draft.text
        and abs(old.start_s - draft.start_s) < 0.0015
        and abs(old.end_s - draft.end_s) < 0.0015
        and len(old.words) == len(draft.words)
        and all(
            abs(mine.start_s - theirs.start_s) < 0.0015 and abs(mine.end_s - theirs.end_s) < 0.0015
            for mine, theirs in zip(old.words, draft.words, strict=True)
        )
    )


def _shared(old: Segment, draft: DraftSegment) -> float:
    overlap_s = min(old.end_s, draft.end_s) - max(old.start_s, draft.start_s)
    shorter_s = min(old.end_s - old.start_s, draft.end_s - draft.start_s)
    return overlap_s / max(shorter_s, 1e-3)


def plan_revision(old: Sequence[Segment], new: Sequence[DraftSegment]) -> RevisionPlan:
    """Match a stretch as it stands with the same stretch derived again, both in order of time.

    A draft takes the id of the first free segment, in order, that shares at least half of the
    shorter one's time with it.
    """
    revisions: list[Revision] = []
    retracted: list[str] = []
    position = 0
    for draft in new:
        matched: Segment | None = None
        for index in range(position, len(old)):
            if old[index].start_s >= draft.end_s and not _same(old[index], draft):
                break
            if _same(old[index], draft) or _shared(old[index], draft) >= MIN_SHARED:
                retracted += [segment.segment_id for segment in old[position:index]]
                matched, position = old[index], index + 1
                break
        revisions.append(
            Revision(
                draft,
                matched.segment_id if matched else None,
                changed=matched is None or not _same(matched, draft),
            )
        )
    retracted += [segment.segment_id for segment in old[position:]]
    return RevisionPlan(tuple(revisions), tuple(retracted))
