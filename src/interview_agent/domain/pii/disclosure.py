"""What a reader who must not see personal data gets of a transcript and of what quotes it.

A number may be dictated over the end of a segment. Neighbours of a track are therefore read
together too, and what is found across them is hidden on both sides. A segment that still grows ends
before what may become personal data.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from interview_agent.domain.pii.masking import (
    PiiSpan,
    find_pii,
    mask,
    mask_tree,
    mask_words,
)
from interview_agent.domain.pii.unfinished import settled_text, settled_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from interview_agent.domain.transcript import Change, Segment, Word

NEIGHBOUR_MAX_GAP_S = 5.0
"""Segments of a track further apart than this are not read together."""

_BREAK = " .,…"
"""What a recogniser puts at the end of a segment although the number goes on."""
_GLUED = ("@", "_", "-")
_SIGN = re.compile(r"[0-9@]")
_NEAR_CHARS = 60
_TELLING_DIGITS = 3
"""Fewer digits than this say nothing by themselves."""


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


@dataclass(frozen=True, slots=True)
class _Crossing:
    """What of one segment is personal data only together with its neighbours."""

    raw: tuple[PiiSpan, ...] = ()
    text: tuple[PiiSpan, ...] = ()
    words: tuple[Word, ...] | None = None


_ALONE = _Crossing()


def _neighbours(segments: Iterable[Segment]) -> Iterator[list[Segment]]:
    tracks: dict[str, list[Segment]] = {}
    for segment in sorted(segments, key=lambda each: (each.start_s, each.end_s)):
        tracks.setdefault(segment.track, []).append(segment)
    for of_track in tracks.values():
        run: list[Segment] = []
        for segment in of_track:
            if run and not _belongs(run[-1], segment):
                yield run
                run = []
            run.append(segment)
        yield run


def _belongs(segment: Segment, following: Segment) -> bool:
    # Reading together costs time, and without a sign near the border it finds nothing new.
    near = segment.raw_text[-_NEAR_CHARS:] + following.raw_text[:_NEAR_CHARS]
    close = following.start_s - segment.end_s <= NEIGHBOUR_MAX_GAP_S
    return close and _SIGN.search(near) is not None


def _across(texts: Sequence[str]) -> list[tuple[PiiSpan, ...]]:
    """Return for each text what is personal data in the light of the others."""
    pieces: list[tuple[int, int, int]] = []
    joined = ""
    for text in texts:
        piece = text.strip(_BREAK)
        if joined and piece and not piece.startswith(_GLUED) and not joined.endswith("@"):
            joined += " "
        first = len(joined)
        joined += piece
        pieces.append((first, len(joined), text.find(piece) - first))
    found: list[list[PiiSpan]] = [[] for _ in texts]
    for span in find_pii(joined):
        touched = [
            (at, max(span.start, first) + shift, min(span.end, last) + shift)
            for at, (first, last, shift) in enumerate(pieces)
            if span.start < last and span.end > first
        ]
        for at, start, end in touched:
            part = PiiSpan(span.kind, start, end)
            if len(touched) > 1 or part not in find_pii(texts[at]):
                found[at].append(part)
    return [tuple(spans) for spans in found]


def _words_across(run: Sequence[Segment]) -> list[tuple[Word, ...]]:
    plain = [word for segment in run for word in segment.words]
    unbroken: list[Word] = []
    for segment in run:
        edges = (0, len(segment.words) - 1)
        unbroken += (
            replace(word, text=word.text.strip(_BREAK) or word.text) if at in edges else word
            for at, word in enumerate(segment.words)
        )
    masked = mask_words(unbroken)
    seen = iter(
        before if same.text == after.text else after
        for before, same, after in zip(plain, unbroken, masked, strict=True)
    )
    return [tuple(next(seen) for _ in segment.words) for segment in run]


def _crossings(segments: Iterable[Segment]) -> dict[str, _Crossing]:
    """Return by id the segments that hold such parts."""
    crossings: dict[str, _Crossing] = {}
    for run in _neighbours(segments):
        crossings |= _crossings_within(run)
    return crossings


def _crossings_within(run: Sequence[Segment]) -> dict[str, _Crossing]:
    if len(run) == 1:
        return {}
    raws = _across([segment.raw_text for segment in run])
    texts = _across([segment.text for segment in run])
    if not any(raws) and not any(texts):
        return {}
    words = _words_across(run)
    return {
        segment.segment_id: _Crossing(raw, text, of_segment)
        for segment, raw, text, of_segment in zip(run, raws, texts, words, strict=True)
    }


def _together(text: str, more: Iterable[PiiSpan]) -> list[PiiSpan]:
    """Return all spans without overlap; where two meet, the first one's label stands for both."""
    spans: list[PiiSpan] = []
    for span in sorted([*find_pii(text), *more], key=lambda each: (each.start, -each.end)):
        if spans and span.start < spans[-1].end:
            spans[-1] = replace(spans[-1], end=max(spans[-1].end, span.end))
        else:
            spans.append(span)
    return spans


def _masked_words(words: Sequence[Word], across: Sequence[Word] | None) -> tuple[Word, ...]:
    alone = mask_words(words)
    if across is None:
        return alone
    return tuple(
        mine if mine.text != plain.text else theirs
        for plain, mine, theirs in zip(words, alone, across, strict=True)
    )


def _settled(segment: Segment) -> Segment:
    return replace(
        segment,
        raw_text=settled_text(segment.raw_text),
        text=settled_text(segment.text),
        words=segment.words[: settled_words([word.text for word in segment.words])],
        changes=(),
    )


def _masked(segment: Segment, crossing: _Crossing) -> Segment:
    masked = _masked_whole(segment, crossing)
    return masked if segment.is_final else _settled(masked)


def _masked_whole(segment: Segment, crossing: _Crossing) -> Segment:
    spans = _together(segment.raw_text, crossing.raw)
    return replace(
        segment,
        raw_text=_masked_slice(segment.raw_text, spans, 0, len(segment.raw_text)),
        text=_masked_slice(
            segment.text, _together(segment.text, crossing.text), 0, len(segment.text)
        ),
        words=_masked_words(segment.words, crossing.words),
        speaker=mask(segment.speaker) if segment.speaker else segment.speaker,
        changes=tuple(
            _masked_change(change, segment.raw_text, spans) for change in segment.changes
        ),
    )


def masked_segments(segments: Sequence[Segment]) -> list[Segment]:
    """Mask each segment, also what is personal data only together with its neighbours.

    Texts, words, speaker and changes are masked; offsets of changes are those of the masked text.
    """
    crossings = _crossings(segments)
    return [_masked(segment, crossings.get(segment.segment_id, _ALONE)) for segment in segments]


def masked_among(segment: Segment, others: Iterable[Segment]) -> Segment:
    """Mask one segment, also what is personal data only together with others of its track."""
    together = [segment, *(other for other in others if other.track == segment.track)]
    run = next(run for run in _neighbours(together) if any(each is segment for each in run))
    return _masked(segment, _crossings_within(run).get(segment.segment_id, _ALONE))


class QuoteMask:
    """Masks what quotes a transcript: a quote may hold half of a number that two segments share."""

    def __init__(self, segments: Iterable[Segment]) -> None:
        segments = list(segments)
        crossings = _crossings(segments)
        labels: dict[str, str] = {}
        for segment in segments:
            crossing = crossings.get(segment.segment_id, _ALONE)
            for text, spans in ((segment.raw_text, crossing.raw), (segment.text, crossing.text)):
                for span in spans:
                    labels[text[span.start : span.end]] = span.label
        self._labels = {half: label for half, label in labels.items() if _tells(half)}
        longest_first = sorted(self._labels, key=len, reverse=True)
        halves = "|".join(re.escape(half) for half in longest_first)
        self._halves = re.compile(rf"(?<!\w)(?:{halves})(?!\w)") if halves else None

    def text(self, text: str) -> str:
        """Return a text that may quote the transcript, masked."""
        masked = mask(text)
        if self._halves is None:
            return masked
        return self._halves.sub(lambda match: self._labels[match.group()], masked)

    def tree(self, value: Any) -> Any:
        """Return a JSON value with every string in it masked; the keys of objects stay."""
        return mask_tree(value, self.text)


def _tells(half: str) -> bool:
    return "@" in half or sum(character.isdigit() for character in half) >= _TELLING_DIGITS
