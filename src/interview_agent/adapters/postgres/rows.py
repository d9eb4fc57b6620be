"""From rows to the facts of the domain, and back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, TypeVar

from interview_agent.domain.meeting import (
    Chunk,
    ChunkRun,
    ChunkState,
    Consent,
    Meeting,
    Mode,
    StageState,
    StageView,
)
from interview_agent.domain.route import Stage
from interview_agent.domain.transcript import Change, Segment, TranscriptEvent, Word

Row = Mapping[str, Any]

_T = TypeVar("_T")
_FEW_ROWS = 200
"""Up to so many are read faster than a thread takes to begin."""

MEETING_COLUMNS = (
    "meeting_id, owner, mode, language, consent, context, recipients, created_at, last_audio_at,"
    " audio_version, closed_version, reported_version, version, event, expected_last_seq,"
    " finish_requested_at IS NOT NULL AS finish_requested"
)
STANDING_COLUMNS = MEETING_COLUMNS.replace(
    "context, recipients", "'{}'::jsonb AS context, '{}'::text[] AS recipients"
)
CHUNK_COLUMNS = (
    "track, upload_track, seq, sha256, size_bytes, blob_key, codec, sample_rate, channels,"
    " channel, state, reason, accepted_at"
)
SEGMENT_COLUMNS = (
    "meeting_id, segment_id, track, start_s, end_s, raw_text, text, words, changes, confidence,"
    " language, first_seq, last_seq, revision, event, is_final"
)
EVENT_COLUMNS = "meeting_id, event, segment_id, track, segment"
STAGE_COLUMNS = (
    "stage, track, attempts, reason, failed, updated_at, due_at IS NOT NULL AS due,"
    " coalesce(lease_until > now(), false) AS leased"
)


def _names(columns: str) -> tuple[str, ...]:
    return tuple(column.split(" AS ")[-1].strip() for column in columns.split(","))


_MEETING_NAMES = _names(MEETING_COLUMNS)
_CHUNK_NAMES = _names(CHUNK_COLUMNS)
_SEGMENT_NAMES = _names(SEGMENT_COLUMNS)


async def read_rows(rows: Sequence[Row], read: Callable[[Row], _T]) -> list[_T]:
    """Read each row, many of them outside the event loop.

    The caller has given its connection back, so that none is held while threads are busy.
    """
    if len(rows) <= _FEW_ROWS:
        return [read(row) for row in rows]
    return await asyncio.to_thread(lambda: [read(row) for row in rows])


def meeting_of(row: Row) -> Meeting:
    """Read a row of MEETING_COLUMNS."""
    values = {name: row[name] for name in _MEETING_NAMES}
    return Meeting(**{**values, "mode": Mode(row["mode"]), "consent": Consent(row["consent"])})


def chunk_of(row: Row) -> Chunk:
    """Read a row of CHUNK_COLUMNS."""
    values = {name: row[name] for name in _CHUNK_NAMES}
    blob_key = row["blob_key"] or ""
    return Chunk(**{**values, "blob_key": blob_key, "state": ChunkState(row["state"])})


def run_of(row: Row) -> ChunkRun:
    """Read a row with the columns of a run."""
    values = {name: row[name] for name in ChunkRun._fields}
    return ChunkRun(**{**values, "state": ChunkState(row["state"])})


def word_json(word: Word) -> dict[str, Any]:
    """Write a word; times keep a millisecond."""
    return {
        "text": word.text,
        "start": round(word.start_s, 3),
        "end": round(word.end_s, 3),
        "probability": None if word.probability is None else round(word.probability, 4),
    }


def word_of(value: Row) -> Word:
    """Read what `word_json` wrote."""
    return Word(value["text"], value["start"], value["end"], value["probability"])


def change_json(change: Change) -> dict[str, Any]:
    """Write a change of the enhancer."""
    return asdict(change)


def segment_of(row: Row) -> Segment:
    """Read a row of SEGMENT_COLUMNS; the speaker is named by whoever knows the tracks."""
    values = {name: row[name] for name in _SEGMENT_NAMES}
    return Segment(
        **{
            **values,
            "words": tuple(word_of(word) for word in row["words"]),
            "changes": tuple(Change(**change) for change in row["changes"]),
        }
    )


def event_of(row: Row) -> TranscriptEvent:
    """Read a row of EVENT_COLUMNS."""
    stood = row["segment"]
    segment = stood and segment_of(
        {**stood, **row, "start_s": stood["start"], "end_s": stood["end"]}
    )
    return TranscriptEvent(
        event=row["event"],
        segment_id=row["segment_id"],
        track=row["track"],
        segment=segment,
        enhanced=bool(stood and stood["enhanced"]),
    )


def stage_view_of(row: Row) -> StageView:
    """Read a row of STAGE_COLUMNS."""
    if row["failed"]:
        state = StageState.FAILED
    elif row["leased"]:
        state = StageState.RUNNING
    elif row["due"]:
        state = StageState.WAITING
    else:
        state = StageState.DONE
    return StageView(
        stage=Stage(row["stage"]),
        track=row["track"] or None,
        state=state,
        attempts=row["attempts"],
        reason=row["reason"],
        updated_at=row["updated_at"],
    )
