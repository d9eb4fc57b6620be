"""How one kind of caller sees one meeting: who speaks on its tracks, and whether masked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from interview_agent.domain.meeting import roles_by_speaker, speakers_by_track
from interview_agent.domain.pii.disclosure import masked_segments
from interview_agent.domain.pii.masking import mask

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from interview_agent.domain.transcript import Segment


@dataclass(frozen=True, slots=True)
class Lens:
    """What stands between a transcript and its reader; `speakers` and `roles` are by track."""

    masked: bool
    speakers: Mapping[str, str | None]
    roles: Mapping[str, str]

    @classmethod
    def of(
        cls, hints: Mapping[str, str | None], context: Mapping[str, Any], *, masked: bool
    ) -> Lens:
        """Make the lens for a meeting with this context, whose tracks have these hints."""
        speakers = speakers_by_track(hints, context)
        roles = roles_by_speaker(speakers, context)
        by_track = {
            track: roles[speaker] for track, speaker in speakers.items() if speaker in roles
        }
        return cls(masked=masked, speakers=speakers, roles=by_track)

    def speaker(self, track: str) -> str | None:
        """Return the name that the reader gets for a track."""
        name = self.speakers.get(track)
        return mask(name) if name and self.masked else name

    def named(self, segment: Segment) -> Segment:
        """Return the segment with its speaker, not yet masked."""
        return replace(segment, speaker=self.speakers.get(segment.track) or segment.speaker)

    def segments(self, segments: Iterable[Segment]) -> list[Segment]:
        """Return what the reader may see, speakers named, by start time over all tracks."""
        seen = [self.named(segment) for segment in segments]
        seen.sort(key=lambda segment: (segment.start_s, segment.end_s, segment.track))
        return masked_segments(seen) if self.masked else seen
