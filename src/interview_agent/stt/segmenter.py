"""Cuts the words of a window into segments that read like sentences."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol

from interview_agent.domain.transcript import DraftSegment, Word

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


MAX_GAP_S = 1.0
MAX_SEGMENT_S = 15.0
MAX_SEGMENT_WORDS = 40

_SENTENCE_END = re.compile(r"""[.!?…。！？]["'»”)\]]*$""")
_CLAUSE_END = re.compile(r"""[,;:—–]["'»”)\]]*$""")
_ABBREVIATION = re.compile(
    r"(?:mr|mrs|ms|dr|prof|st|vs|jr|sr|no|г|ул|им|др|тов|стр|см|руб|тыс|\w)\.$", re.IGNORECASE
)


class PlacedWord(Protocol):
    """A word on the timeline of its track, leading space included, times in seconds.

    Words with different `stretch` have removed silence between them.
    """

    @property
    def text(self) -> str:
        """The text of the word."""
        ...

    @property
    def start_s(self) -> float:
        """Where it starts."""
        ...

    @property
    def end_s(self) -> float:
        """Where it ends."""
        ...

    @property
    def probability(self) -> float | None:
        """How sure the recogniser is of it, None where it does not say."""
        ...

    @property
    def stretch(self) -> int:
        """The stretch of speech that it belongs to."""
        ...


def ends_sentence(text: str) -> bool:
    """Whether a word closes a sentence."""
    written = text.strip()
    return bool(_SENTENCE_END.search(written)) and not _ABBREVIATION.fullmatch(written)


def segments_of(
    words: Sequence[PlacedWord], *, language: str | None, seq_at: Callable[[float], int]
) -> tuple[DraftSegment, ...]:
    """Return all words in their order, as segments.

    A segment never spans removed silence or a pause above MAX_GAP_S, ends where a sentence ends,
    and is cut at a clause where it would grow beyond MAX_SEGMENT_S or MAX_SEGMENT_WORDS.
    `seq_at` names the chunk that sounds at a second of the track.
    """
    spoken = [word for word in words if word.text.strip()]
    return tuple(_segment(run, language, seq_at) for run in _runs(spoken))


def _runs(words: Sequence[PlacedWord]) -> Iterator[Sequence[PlacedWord]]:
    start = 0
    for at in range(1, len(words) + 1):
        if at == len(words) or _breaks(words[at - 1], words[at]):
            yield from _short_runs(words[start:at])
            start = at


def _breaks(before: PlacedWord, after: PlacedWord) -> bool:
    if before.stretch != after.stretch or after.start_s - before.end_s > MAX_GAP_S:
        return True
    if not ends_sentence(before.text):
        return False
    return after.text.startswith(" ") and not after.text.strip()[0].islower()


def _short_runs(words: Sequence[PlacedWord]) -> Iterator[Sequence[PlacedWord]]:
    while not _fits(words):
        limit = next(n for n in range(len(words), 0, -1) if n == 1 or _fits(words[:n]))
        clauses = [n for n in range(limit // 2, limit) if _CLAUSE_END.search(words[n].text)]
        cut = clauses[-1] + 1 if clauses else limit
        yield words[:cut]
        words = words[cut:]
    if words:
        yield words


def _fits(words: Sequence[PlacedWord]) -> bool:
    if len(words) <= 1:
        return True
    lasts_s = words[-1].end_s - words[0].start_s
    return len(words) <= MAX_SEGMENT_WORDS and lasts_s <= MAX_SEGMENT_S


def _segment(
    run: Sequence[PlacedWord], language: str | None, seq_at: Callable[[float], int]
) -> DraftSegment:
    sure = [word.probability for word in run if word.probability is not None]
    start_s, end_s = run[0].start_s, max(word.end_s for word in run)
    return DraftSegment(
        text="".join(word.text for word in run).strip(),
        start_s=start_s,
        end_s=end_s,
        words=tuple(Word(w.text.strip(), w.start_s, w.end_s, w.probability) for w in run),
        confidence=sum(sure) / len(sure) if sure else None,
        language=language,
        first_seq=seq_at(start_s),
        last_seq=seq_at(max(start_s, end_s - 0.01)),
    )
