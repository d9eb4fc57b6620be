"""Meetings, tracks and chunks: their facts and the rules that read them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from interview_agent.domain.ids import DEFAULT_TRACK
from interview_agent.domain.route import Stage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

_AFTER_REPORT = (Stage.DELIVERY, Stage.RETENTION, Stage.ERASURE)


class Status(StrEnum):
    """Where a meeting stands."""

    QUEUED = "queued"
    PROCESSING = "processing"
    DONE = "done"
    FAILED = "failed"


class Consent(StrEnum):
    """What the participants said to being recorded."""

    UNKNOWN = "unknown"
    GRANTED = "granted"
    DENIED = "denied"


class Mode(StrEnum):
    """Whether the audio comes while people speak or afterwards."""

    REALTIME = "realtime"
    POSTMEETING = "postmeeting"


class ChunkState(StrEnum):
    """Where a chunk stands."""

    PENDING = "pending"
    PROCESSING = "processing"
    DONE = "done"
    FAILED = "failed"


class StageState(StrEnum):
    """Where a stage of a meeting stands."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Meeting:
    """One interview.

    `audio_version` counts accepted chunks; `closed_version` is the value it had when the transcript
    was closed; `version` counts finished transcripts and reports.
    """

    meeting_id: str
    owner: str
    mode: Mode
    language: str | None
    consent: Consent
    context: Mapping[str, Any]
    recipients: Sequence[str]
    created_at: datetime
    last_audio_at: datetime | None
    audio_version: int
    closed_version: int | None
    reported_version: int | None
    finish_requested: bool
    version: int
    event: int
    expected_last_seq: Mapping[str, int]

    @property
    def closed(self) -> bool:
        """Whether the transcript is closed and no audio came since."""
        return self.closed_version == self.audio_version

    def language_or(self, default: str | None) -> str | None:
        """Return the language to write, `default` where none was named; None to detect it."""
        language = self.language or default
        return None if language == "auto" else language


class ChunkRun(NamedTuple):
    """Chunks of a track that stand alike and whose numbers follow each other.

    `upload_track` is the track that their sender named, which is another one where each of its
    channels is heard apart.
    """

    track: str
    upload_track: str
    first_seq: int
    last_seq: int
    state: ChunkState
    reason: str | None

    @property
    def seqs(self) -> range:
        """Their numbers."""
        return range(self.first_seq, self.last_seq + 1)


class Extent(NamedTuple):
    """The lowest and the highest number that came on a track, and how many different ones."""

    first_seq: int
    last_seq: int
    number: int

    @property
    def has_hole(self) -> bool:
        """Whether a number between the lowest and the highest is missing."""
        return self.last_seq - self.first_seq >= self.number


@dataclass(frozen=True, slots=True)
class Chunk:
    """Bytes accepted under a number on a track; `channel` is the one to hear, None all mixed."""

    track: str
    upload_track: str
    seq: int
    sha256: str
    size_bytes: int
    blob_key: str
    codec: str
    sample_rate: int
    channels: int
    channel: int | None
    state: ChunkState
    reason: str | None
    accepted_at: datetime

    @property
    def run(self) -> ChunkRun:
        """The chunk alone, as a run."""
        return ChunkRun(self.track, self.upload_track, self.seq, self.seq, self.state, self.reason)


@dataclass(frozen=True, slots=True)
class StageView:
    """How far one stage of a meeting is, for people to read."""

    stage: Stage
    track: str | None
    state: StageState
    attempts: int
    reason: str | None
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Gap:
    """Numbers on a track that no chunk came for."""

    track: str
    first_seq: int
    last_seq: int


def received_ranges(received: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Join closed ranges of numbers that touch or overlap, ascending."""
    ranges: list[tuple[int, int]] = []
    for first, last in sorted(received):
        if ranges and first <= ranges[-1][1] + 1:
            ranges[-1] = (ranges[-1][0], max(ranges[-1][1], last))
        else:
            ranges.append((first, last))
    return ranges


def gaps_between(
    track: str, received: Iterable[tuple[int, int]], last_expected: int | None = None
) -> list[Gap]:
    """List the holes of a track: between its ranges, and up to the last number that was promised.

    The lowest number that came is the start of the track.
    """
    ranges = received_ranges(received)
    gaps = [Gap(track, left[1] + 1, right[0] - 1) for left, right in pairwise(ranges)]
    if last_expected is not None:
        end = ranges[-1][1] if ranges else -1
        if end < last_expected:
            gaps.append(Gap(track, end + 1, last_expected))
    return gaps


def playable(chunks: Sequence[Chunk], *, closed: bool) -> list[Chunk]:
    """Return what can be heard now, in order: a hole holds an open track, a closed one goes on.

    Failed chunks hold nothing and are left out.
    """
    ordered = sorted(chunks, key=lambda chunk: chunk.seq)
    heard: list[Chunk] = []
    for position, chunk in enumerate(ordered):
        if not closed and position and ordered[position - 1].seq != chunk.seq - 1:
            break
        if chunk.state is not ChunkState.FAILED:
            heard.append(chunk)
    return heard


def missing_expected(expected: Mapping[str, int], came: Mapping[str, Extent]) -> bool:
    """Whether a chunk that `finish` promised is still on its way.

    A promise may name a track as its sender did, or as it is heard: `came` has whatever carries
    such a name. The lowest number that came is the start of the track, as in `gaps_between`.
    """
    return any(
        track not in came or came[track].has_hole or came[track].last_seq < last_seq
        for track, last_seq in expected.items()
    )


def gaps_by_track(expected: Mapping[str, int], runs: Iterable[ChunkRun]) -> dict[str, list[Gap]]:
    """List the holes of every track, by name, also of a promised one of which nothing came.

    What was promised for a track as its sender named it holds for each track it is heard as.
    """
    received: dict[str, list[tuple[int, int]]] = {}
    names: dict[str, set[str]] = {}
    for run in runs:
        received.setdefault(run.track, []).append((run.first_seq, run.last_seq))
        names.setdefault(run.track, {run.track}).add(run.upload_track)
    known = set[str]().union(*names.values())
    names |= {name: {name} for name in expected if name not in known}
    gaps: dict[str, list[Gap]] = {}
    for track, called in sorted(names.items()):
        promised = [expected[name] for name in called if name in expected]
        gaps[track] = gaps_between(track, received.get(track, ()), max(promised, default=None))
    return gaps


def meeting_status(meeting: Meeting, stages: Sequence[StageView]) -> Status:
    """Say where a meeting stands, from its versions and the state of its stages.

    A report on all the audio there is makes it done, whatever delivery does later. A stage that
    was given up on makes it failed only once nothing before the report is left to do.
    """
    before_report = [view for view in stages if view.stage not in _AFTER_REPORT]
    if meeting.closed and meeting.reported_version == meeting.audio_version:
        return Status.DONE
    busy = any(view.state in (StageState.WAITING, StageState.RUNNING) for view in before_report)
    if not busy and any(view.state is StageState.FAILED for view in before_report):
        return Status.FAILED
    started = any(view.attempts or view.state is not StageState.WAITING for view in before_report)
    return Status.PROCESSING if started else Status.QUEUED


def participants(context: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the participants that `context` names, by track; malformed entries are passed over."""
    listed = context.get("participants")
    if not isinstance(listed, list):
        return {}
    return {
        entry["track"]: entry
        for entry in listed
        if isinstance(entry, dict) and isinstance(entry.get("track"), str)
    }


def speaker_of(
    track: str, hint: str | None, context: Mapping[str, Any], *, tracks: int
) -> str | None:
    """Name the speaker of a track: participant, then hint, then the track itself among several.

    One mixed track has no speaker that we could tell: None.
    """
    named = participants(context).get(track, {}).get("name")
    if isinstance(named, str) and named.strip():
        return named.strip()
    if hint:
        return hint
    if tracks > 1 or track != DEFAULT_TRACK:
        return track
    return None


def speakers_by_track(
    hints: Mapping[str, str | None], context: Mapping[str, Any]
) -> dict[str, str | None]:
    """Name the speaker of every track of a meeting; `hints` has an entry for each track."""
    return {
        track: speaker_of(track, hint, context, tracks=len(hints)) for track, hint in hints.items()
    }


def roles_by_speaker(
    speakers: Mapping[str, str | None], context: Mapping[str, Any]
) -> dict[str, str]:
    """Return speaker -> `interviewer` or `candidate` for everybody whose role is known.

    A participant without a track is known by a name that nobody shares: who pulls audio from a
    meeting platform learns the tracks too late to name them. Who was named and is heard on no
    track has a role all the same.
    """
    known = participants(context)
    by_name = _roles_by_name(context)
    of_tracks = {
        speaker: known.get(track, {}).get("role", by_name.get(speaker))
        for track, speaker in speakers.items()
        if speaker
    }
    roles = _roles_of_unheard(speakers, context) | of_tracks
    return {
        speaker: role for speaker, role in roles.items() if role in ("interviewer", "candidate")
    }


def _roles_by_name(context: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: entry.get("role")
        for name, entry in _known_by_name(context).items()
        if not isinstance(entry.get("track"), str)
    }


def _roles_of_unheard(
    speakers: Mapping[str, str | None], context: Mapping[str, Any]
) -> dict[str, Any]:
    heard = set(speakers.values())
    tracks = list(speakers)  # what a context names as a track need not have a hash
    return {
        name: entry.get("role")
        for name, entry in _known_by_name(context).items()
        if name not in heard and entry.get("track") not in tracks
    }


def _known_by_name(context: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    listed = context.get("participants")
    entries = listed if isinstance(listed, list) else []
    named = [
        (name.strip(), entry)
        for entry in entries
        if isinstance(entry, dict) and isinstance(name := entry.get("name"), str)
    ]
    names = Counter(name for name, _ in named)
    return {name: entry for name, entry in named if name and names[name] == 1}
