"""Who spoke when, and who held the floor: stretches of speech, back-channels, turns."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from interview_agent.domain.analytics.lexicon import is_backchannel

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from interview_agent.domain.analytics.word_times import SpokenWord

JOIN_GAP_MS = 300
BACKCHANNEL_MAX_MS = 1000
BACKCHANNEL_REACH_MS = 1500
INTERRUPTION_OVERLAP_MS = 500
INTERRUPTION_STOP_MS = 2000
LONG_PAUSE_MS = 3000


@dataclass(frozen=True, slots=True)
class Stretch:
    """Words of one speaker (None: unknown) with no gap above 0.30 s between them."""

    speaker: str | None
    words: tuple[SpokenWord, ...]
    start_ms: int
    end_ms: int

    @property
    def length_ms(self) -> int:
        """How long it lasts."""
        return self.end_ms - self.start_ms


@dataclass(frozen=True, slots=True)
class Turn:
    """The floor held by one speaker until another takes it.

    `silence_before_ms` is the time since anybody else's floor speech ended, negative where the
    taker began earlier; None for the first turn and where the taker himself spoke last.
    """

    speaker: str
    stretches: tuple[Stretch, ...]
    silence_before_ms: int | None

    @property
    def start_ms(self) -> int:
        """When the floor was taken."""
        return self.stretches[0].start_ms

    @property
    def end_ms(self) -> int:
        """When its holder spoke last."""
        return max(stretch.end_ms for stretch in self.stretches)


@dataclass(frozen=True, slots=True)
class Interruption:
    """The floor taken by talking over its holder, who then stopped."""

    by: str
    holder: str
    at_ms: int
    overlap_ms: int
    stretch: Stretch


@dataclass(frozen=True, slots=True)
class Conversation:
    """A meeting as stretches, turns and pauses; `session_ms` covers at least all words."""

    session_ms: int
    stretches: tuple[Stretch, ...]
    backchannels: tuple[Stretch, ...]
    turns: tuple[Turn, ...]
    interruptions: tuple[Interruption, ...]
    speech_spans: tuple[tuple[int, int], ...]
    """Union of all speech, as closed spans in milliseconds."""
    turn_of_word: Mapping[tuple[int, int], int] = field(repr=False)
    """(segment, position) of a word to the index of its turn; words outside turns are absent."""

    @property
    def speakers(self) -> tuple[str, ...]:
        """Known speakers by the time of their first word."""
        return tuple(dict.fromkeys(s.speaker for s in self.stretches if s.speaker is not None))

    @property
    def speech_ms(self) -> dict[str, int]:
        """S_k: milliseconds of speech of each known speaker."""
        lengths = dict.fromkeys(self.speakers, 0)
        for stretch in self.stretches:
            if stretch.speaker is not None:
                lengths[stretch.speaker] += stretch.length_ms
        return lengths

    @property
    def unattributed_ms(self) -> int:
        """Milliseconds of speech of nobody known."""
        return sum(stretch.length_ms for stretch in self.stretches if stretch.speaker is None)

    @property
    def union_ms(self) -> int:
        """Milliseconds in which at least one person spoke."""
        return sum(end - start for start, end in self.speech_spans)

    @property
    def long_pauses(self) -> tuple[tuple[int, int], ...]:
        """Silences of at least 3.0 s between two stretches of speech."""
        pairs = zip(self.speech_spans, self.speech_spans[1:], strict=False)
        return tuple((a[1], b[0]) for a, b in pairs if b[0] - a[1] >= LONG_PAUSE_MS)


def read_conversation(words: Sequence[SpokenWord], duration_ms: int) -> Conversation:
    """Build the conversation from words sorted by time.

    A back-channel is at most 1.0 s and three words, all in the listener lexicon, with the same
    other speaker talking within 1.5 s on both sides; a reply to that speaker's question is none.
    It keeps its talk time and takes no floor. Nor does a stretch that the holder talks through:
    one that ends before him when he goes on for more than 2.0 s after it began.
    """
    stretches = _stretches(words)
    backchannels = _backchannels(stretches)
    turns, interruptions = _floor(stretches, {id(stretch) for stretch in backchannels})
    return Conversation(
        session_ms=max([duration_ms, *(stretch.end_ms for stretch in stretches)]),
        stretches=stretches,
        backchannels=backchannels,
        turns=turns,
        interruptions=interruptions,
        speech_spans=tuple(_union(stretches)),
        turn_of_word={
            (word.segment, word.position): index
            for index, turn in enumerate(turns)
            for stretch in turn.stretches
            for word in stretch.words
        },
    )


def _stretches(words: Sequence[SpokenWord]) -> tuple[Stretch, ...]:
    speakers: dict[str | None, list[list[SpokenWord]]] = {}
    for word in words:
        runs = speakers.setdefault(word.speaker, [])
        if runs and word.start_ms - runs[-1][-1].end_ms <= JOIN_GAP_MS:
            runs[-1].append(word)
        else:
            runs.append([word])
    found = [
        Stretch(speaker, tuple(run), run[0].start_ms, max(word.end_ms for word in run))
        for speaker, runs in speakers.items()
        for run in runs
    ]
    return tuple(sorted(found, key=lambda s: (s.start_ms, s.end_ms, s.speaker or "")))


def _union(stretches: Sequence[Stretch]) -> Iterable[tuple[int, int]]:
    start = end = -1
    for stretch in stretches:
        if end < 0:
            start, end = stretch.start_ms, stretch.end_ms
        elif stretch.start_ms <= end:
            end = max(end, stretch.end_ms)
        else:
            yield start, end
            start, end = stretch.start_ms, stretch.end_ms
    if end >= 0:
        yield start, end


def _backchannels(stretches: Sequence[Stretch]) -> tuple[Stretch, ...]:
    lanes: dict[str, list[Stretch]] = {}
    for stretch in stretches:
        if stretch.speaker is not None:
            lanes.setdefault(stretch.speaker, []).append(stretch)
    edges = {
        speaker: ([s.start_ms for s in lane], [s.end_ms for s in lane])
        for speaker, lane in lanes.items()
    }
    return tuple(
        stretch
        for stretch in stretches
        if stretch.speaker is not None
        and stretch.length_ms <= BACKCHANNEL_MAX_MS
        and is_backchannel([word.text for word in stretch.words])
        and any(
            _accompanies(stretch, lanes[other], *edges[other])
            for other in lanes
            if other != stretch.speaker
        )
    )


def _accompanies(
    stretch: Stretch, lane: Sequence[Stretch], starts: Sequence[int], ends: Sequence[int]
) -> bool:
    before = bisect_right(starts, stretch.start_ms) - 1
    after = bisect_left(ends, stretch.end_ms)
    if before < 0 or after == len(lane):
        return False
    asked = lane[before].end_ms <= stretch.start_ms and lane[before].words[-1].text.endswith("?")
    return (
        not asked
        and lane[before].end_ms >= stretch.start_ms - BACKCHANNEL_REACH_MS
        and lane[after].start_ms <= stretch.end_ms + BACKCHANNEL_REACH_MS
    )


def _floor(
    stretches: Sequence[Stretch], listening: set[int]
) -> tuple[tuple[Turn, ...], tuple[Interruption, ...]]:
    turns: list[tuple[str, list[Stretch], int | None]] = []
    interruptions: list[Interruption] = []
    last_of_holder: Stretch | None = None
    furthest: Stretch | None = None
    for stretch in stretches:
        speaker = stretch.speaker
        if speaker is None or id(stretch) in listening:
            continue
        if turns and turns[-1][0] == speaker:
            turns[-1][1].append(stretch)
            last_of_holder = stretch
        elif last_of_holder is None or not _talked_through(stretch, last_of_holder):
            if last_of_holder is not None and (hit := _interruption(stretch, last_of_holder)):
                interruptions.append(hit)
            turns.append((speaker, [stretch], _silence_before(stretch, furthest)))
            last_of_holder = stretch
        if furthest is None or stretch.end_ms > furthest.end_ms:
            furthest = stretch
    made = tuple(Turn(speaker, tuple(held), silence) for speaker, held, silence in turns)
    return made, tuple(interruptions)


def _talked_through(stretch: Stretch, holder: Stretch) -> bool:
    return (
        holder.end_ms > stretch.end_ms and holder.end_ms - stretch.start_ms > INTERRUPTION_STOP_MS
    )


def _silence_before(stretch: Stretch, furthest: Stretch | None) -> int | None:
    if furthest is None or furthest.speaker == stretch.speaker:
        return None
    return stretch.start_ms - furthest.end_ms


def _interruption(stretch: Stretch, holder: Stretch) -> Interruption | None:
    overlap = min(stretch.end_ms, holder.end_ms) - stretch.start_ms
    stopped = holder.end_ms - stretch.start_ms <= INTERRUPTION_STOP_MS
    if overlap < INTERRUPTION_OVERLAP_MS or not stopped:
        return None
    if stretch.speaker is None or holder.speaker is None:
        return None
    return Interruption(stretch.speaker, holder.speaker, stretch.start_ms, overlap, stretch)
