"""What callers read: meetings, chunks and segments as JSON-ready values."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from interview_agent.domain import cursor
from interview_agent.domain.errors import ValidationFailed
from interview_agent.domain.ids import check_name
from interview_agent.domain.lens import Lens
from interview_agent.domain.meeting import (
    Chunk,
    ChunkRun,
    ChunkState,
    Gap,
    Meeting,
    StageState,
    StageView,
    Status,
    gaps_by_track,
    meeting_status,
    received_ranges,
)
from interview_agent.domain.pii.disclosure import QuoteMask
from interview_agent.domain.route import Stage
from interview_agent.ports.archive import meeting_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from interview_agent.domain.identity import Identity
    from interview_agent.domain.transcript import Segment
    from interview_agent.ports.archive import Archive, DeliveryView, MeetingView

API_VERSION = "v1"
UNKNOWN_SPEAKER = "UNKNOWN"

Body = dict[str, Any]


def _when(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def write_cursor(created_at: datetime, meeting_id: str) -> str:
    """Make the opaque text that names a position in the list of meetings."""
    return cursor.write_cursor((created_at.isoformat(), meeting_id))


def read_cursor(text: str) -> tuple[datetime, str]:
    """Return the position that `write_cursor` named. Raises `ValidationFailed`."""
    moment, meeting_id = cursor.read_cursor(text, (str, str))
    try:
        created_at = datetime.fromisoformat(moment)
        check_name(meeting_id, "cursor")
    except (ValueError, ValidationFailed):
        raise cursor.unknown_cursor() from None
    if created_at.tzinfo is None:
        raise cursor.unknown_cursor()
    return created_at, meeting_id


def absent_meeting(meeting_id: str) -> Body:
    """Return the fields that polling clients read, for a meeting that is not there."""
    return {
        "api_version": API_VERSION,
        "meeting_id": meeting_id,
        "status": "not_found",
        "raw_transcript": "",
        "enhanced_transcript": "",
        "report": None,
    }


def _by_track(chunks: Iterable[Chunk]) -> dict[str, list[Chunk]]:
    tracks: dict[str, list[Chunk]] = defaultdict(list)
    for chunk in chunks:
        tracks[chunk.track].append(chunk)
    return dict(sorted(tracks.items()))


def _shown_state(shown: Chunk | ChunkRun, running: frozenset[str | None]) -> ChunkState:
    # A chunk has no state of its own for "being heard": the stage of its track knows.
    if shown.state is ChunkState.PENDING and shown.track in running:
        return ChunkState.PROCESSING
    return shown.state


def _tracks_heard_now(stages: Iterable[StageView]) -> frozenset[str | None]:
    return frozenset(
        view.track
        for view in stages
        if view.stage is Stage.STT and view.state is StageState.RUNNING
    )


def _stage_body(view: StageView) -> Body:
    return {
        "stage": view.stage.value,
        "track": view.track,
        "state": view.state.value,
        "attempts": view.attempts,
        "reason": view.reason,
        "updated_at": _when(view.updated_at),
    }


def _delivery_body(view: DeliveryView) -> Body:
    return {
        "report_version": view.report_version,
        "channel": view.channel,
        "state": view.state,
        "reason": view.reason,
        "updated_at": _when(view.updated_at),
    }


def _gap_body(gap: Gap) -> Body:
    return {"track": gap.track, "first_seq": gap.first_seq, "last_seq": gap.last_seq}


def _facts_body(meeting: Meeting, stages: Sequence[StageView]) -> Body:
    return {
        "meeting_id": meeting.meeting_id,
        "status": meeting_status(meeting, stages).value,
        "version": meeting.version,
        "language": meeting.language,
        "mode": meeting.mode.value,
        "consent": meeting.consent.value,
        "created_at": _when(meeting.created_at),
        "last_audio_at": _when(meeting.last_audio_at),
        "closed": meeting.closed,
    }


def _segment_body(segment: Segment) -> Body:
    return {
        "segment_id": segment.segment_id,
        "revision": segment.revision,
        "track": segment.track,
        "speaker": segment.speaker,
        "start": segment.start_s,
        "end": segment.end_s,
        "raw_text": segment.raw_text,
        "text": segment.text,
        "confidence": segment.confidence,
        "language": segment.language,
        "words": [
            {
                "text": word.text,
                "start": word.start_s,
                "end": word.end_s,
                "probability": word.probability,
            }
            for word in segment.words
        ],
        "changes": [
            {
                "rule": change.rule,
                "before": change.before,
                "after": change.after,
                "start": change.start,
            }
            for change in segment.changes
        ],
        "first_seq": segment.first_seq,
        "last_seq": segment.last_seq,
        "event": segment.event,
    }


def _lines(spoken: Iterable[tuple[str | None, str]]) -> str:
    return "\n".join(
        f"{speaker or UNKNOWN_SPEAKER}: {text.strip()}" for speaker, text in spoken if text.strip()
    )


def _lens(view: MeetingView, *, masked: bool) -> Lens:
    hints = {track.track: track.speaker_hint for track in view.tracks}
    return Lens.of(hints, view.meeting.context, masked=masked)


def _meeting_body(
    view: MeetingView, lens: Lens, segments: Sequence[Segment], runs: Sequence[ChunkRun]
) -> Body:
    seen = lens.segments(segments)
    running = _tracks_heard_now(view.stages)
    gaps = gaps_by_track(view.meeting.expected_last_seq, runs)
    counts: Counter[ChunkState] = Counter()
    for run in runs:
        counts[_shown_state(run, running)] += len(run.seqs)
    report = dict(view.report) if view.report is not None else None
    return {
        "api_version": API_VERSION,
        **_facts_body(view.meeting, view.stages),
        "raw_transcript": _lines((segment.speaker, segment.raw_text) for segment in seen),
        "enhanced_transcript": _lines((segment.speaker, segment.text) for segment in seen),
        "report": QuoteMask(segments).tree(report) if lens.masked else report,
        "report_version": view.report_version,
        "tracks": [
            {
                "track": track.track,
                "speaker": lens.speaker(track.track),
                "role": lens.roles.get(track.track),
                "language": track.language,
                "heard_s": track.heard_s,
                "offset_s": track.offset_s,
            }
            for track in view.tracks
        ],
        "chunks": {state.value: counts[state] for state in ChunkState},
        "gaps": [_gap_body(gap) for of_track in gaps.values() for gap in of_track],
        "failed_chunks": [
            {"track": run.track, "seq": seq, "reason": run.reason}
            for run in runs
            if run.state is ChunkState.FAILED
            for seq in run.seqs
        ],
        "stages": [_stage_body(stage) for stage in view.stages],
        "delivery": [_delivery_body(delivery) for delivery in view.deliveries],
    }


def _track_body(view: MeetingView, name: str, chunks: Sequence[Chunk], gaps: Sequence[Gap]) -> Body:
    running = _tracks_heard_now(view.stages)
    ordered = sorted(chunks, key=lambda chunk: chunk.seq)
    seqs = [chunk.seq for chunk in ordered]
    return {
        "track": name,
        "upload_track": ordered[0].upload_track if ordered else name,
        "received": [list(span) for span in received_ranges((seq, seq) for seq in seqs)],
        "gaps": [[gap.first_seq, gap.last_seq] for gap in gaps],
        "next_seq": seqs[-1] + 1 if seqs else 0,
        "chunks": [
            {
                "seq": chunk.seq,
                "state": _shown_state(chunk, running).value,
                "size_bytes": chunk.size_bytes,
                "sha256": chunk.sha256,
                "reason": chunk.reason,
            }
            for chunk in ordered
        ],
    }


def _chunks_body(view: MeetingView, chunks: Sequence[Chunk]) -> Body:
    tracks = _by_track(chunks)
    holes = gaps_by_track(view.meeting.expected_last_seq, (chunk.run for chunk in chunks))
    return {
        "meeting_id": view.meeting.meeting_id,
        "tracks": [
            _track_body(view, name, tracks.get(name, ()), gaps) for name, gaps in holes.items()
        ],
    }


class Reader:
    """Reads for a caller. A foreign meeting does not exist: `NotFound`, as for an unknown id.

    With `pii_masking` every text that a user identity gets is masked; a service identity gets the
    texts as they are. All methods raise `ValidationFailed` for a bad id and `DatabaseError`.
    """

    def __init__(self, archive: Archive, *, pii_masking: bool) -> None:
        self._archive = archive
        self._pii_masking = pii_masking

    async def status(self, caller: Identity, meeting_id: str) -> Status:
        """Say where a meeting stands."""
        view = await self._view(caller, meeting_id)
        return meeting_status(view.meeting, view.stages)

    async def meeting(self, caller: Identity, meeting_id: str) -> Body:
        """Return a meeting with its transcript and report."""
        # The view comes first: words read after a status are never older than it says.
        view = await self._view(caller, meeting_id)
        segments = await self._archive.segments(meeting_id)
        runs = await self._archive.runs(meeting_id)
        lens = _lens(view, masked=self._masks(caller))
        return await asyncio.to_thread(_meeting_body, view, lens, segments, runs)

    async def meetings(self, caller: Identity, limit: int, after: str | None = None) -> Body:
        """Return a page of meetings, newest first; `next_cursor` is null on the last one."""
        before = read_cursor(after) if after else None
        owner = None if caller.is_service else caller.owner
        found = await self._archive.meetings(owner, limit=limit + 1, before=before)
        page = found[:limit]
        more = len(found) > limit
        last = page[-1].meeting if more else None
        return {
            "meetings": [_facts_body(item.meeting, item.stages) for item in page],
            "next_cursor": write_cursor(last.created_at, last.meeting_id) if last else None,
        }

    async def chunks(self, caller: Identity, meeting_id: str) -> Body:
        """Return what came of each track: all that an uploader needs to resume."""
        view = await self._view(caller, meeting_id)
        chunks = await self._archive.chunks(meeting_id)
        return await asyncio.to_thread(_chunks_body, view, chunks)

    async def segments(self, caller: Identity, meeting_id: str) -> Body:
        """Return the transcript by start time, with words, both texts and every change."""
        view = await self._view(caller, meeting_id)
        segments = await self._archive.segments(meeting_id)
        lens = _lens(view, masked=self._masks(caller))
        bodies = await asyncio.to_thread(
            lambda: [_segment_body(segment) for segment in lens.segments(segments)]
        )
        return {"meeting_id": meeting_id, "version": view.meeting.version, "segments": bodies}

    def _masks(self, caller: Identity) -> bool:
        return self._pii_masking and not caller.is_service

    async def _view(self, caller: Identity, meeting_id: str) -> MeetingView:
        check_name(meeting_id, "meeting_id")
        return await meeting_for(caller, meeting_id, self._archive)
