"""A light copy of a transcript: all that masking and the judging of partials need to know."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from interview_agent.domain.live import Partial
    from interview_agent.domain.transcript import Segment, TranscriptEvent

NEAR_S = 60.0
"""Segments further apart than this are never read together: nobody dictates a number so long."""

_SIGN = re.compile(r"[0-9@]")


def light(segment: Segment) -> Segment:
    """Return a segment without what its neighbours need not know to be masked."""
    words = segment.words if _SIGN.search(segment.raw_text) else ()
    return replace(segment, words=words, changes=())


class TranscriptCopy:
    """The present segments of a meeting, as far as the events that were applied go."""

    def __init__(self, segments: Iterable[Segment] = ()) -> None:
        self._tracks: dict[str, dict[str, Segment]] = {}
        for segment in segments:
            self._tracks.setdefault(segment.track, {})[segment.segment_id] = light(segment)

    def apply(self, event: TranscriptEvent) -> None:
        """Follow one change."""
        of_track = self._tracks.setdefault(event.track, {})
        if event.segment is None:
            of_track.pop(event.segment_id, None)
        else:
            of_track[event.segment_id] = light(event.segment)

    def near(
        self, segment: Segment, instead: Mapping[str, Segment | None] | None = None
    ) -> list[Segment]:
        """Return the other segments of its track that it may have to be read with.

        `instead` holds segments by id that are to stand for those of the copy; None: for nothing.
        """
        together = {**self._tracks.get(segment.track, {}), **(instead or {})}
        return [
            other
            for other in together.values()
            if other is not None
            and other.segment_id != segment.segment_id
            and other.track == segment.track
            and other.start_s < segment.end_s + NEAR_S
            and other.end_s > segment.start_s - NEAR_S
        ]

    def outdates(self, partial: Partial) -> bool:
        """Whether what stands already makes a partial wrong to show."""
        of_track = self._tracks.get(partial.track, {})
        stands = of_track.get(partial.segment_id)
        if stands is not None and (stands.is_final or stands.revision > partial.revision):
            return True
        # The segment of a partial that comes late may have been taken back and forgotten.
        final_s = max((each.end_s for each in of_track.values() if each.is_final), default=0.0)
        return bool(partial.words) and partial.words[-1].end_s <= final_s
