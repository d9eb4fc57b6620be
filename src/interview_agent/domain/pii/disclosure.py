"""What a reader who must not see personal data gets of a segment."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from interview_agent.domain.pii.masking import find_pii, mask, mask_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from interview_agent.domain.pii.masking import PiiSpan
    from interview_agent.domain.transcript import Change, Segment


def _touches(span: PiiSpan, start: int, end: int) -> bool:
    return span.start < max(end, start + 1) and span.end > start


def _masked_slice(text: str, spans: Sequence[PiiSpan], start: int, end: int) -> str:
    pieces: list[str] = []
    position = start
    for span in spans:
        if not _touches(span, start, end):
            continue
        pieces += (text[position : max(position, span.start)], span.label)
        position = span.end
    pieces.append(text[position:end])
    return "".join(pieces)


def _masked_offset(spans: Sequence[PiiSpan], offset: int) -> int:
    shifted = offset
    for span in spans:
        if span.end <= offset:
            shifted += len(span.label) - (span.end - span.start)
        elif span.start < offset:
            shifted -= offset - span.start
    return shifted


def _masked_change(change: Change, raw_text: str, spans: Sequence[PiiSpan]) -> Change:
    end = change.start + len(change.before)
    start = _masked_offset(spans, change.start)
    if not any(_touches(span, change.start, end) for span in spans):
        return replace(change, start=start, before=mask(change.before), after=mask(change.after))
    # Half of a phone number is not recognised as one: the whole text decides, and what the
    # change made of it is not shown.
    before = _masked_slice(raw_text, spans, change.start, end)
    return replace(change, start=start, before=before, after=before)


def masked_segment(segment: Segment) -> Segment:
    """Return the segment with personal data replaced in its texts, words, speaker and changes.

    Offsets of changes are those of the masked raw text.
    """
    spans = find_pii(segment.raw_text)
    return replace(
        segment,
        raw_text=mask(segment.raw_text),
        text=mask(segment.text),
        words=mask_words(segment.words),
        speaker=mask(segment.speaker) if segment.speaker else segment.speaker,
        changes=tuple(
            _masked_change(change, segment.raw_text, spans) for change in segment.changes
        ),
    )
