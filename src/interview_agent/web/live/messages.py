"""What listeners are told, as the JSON of the protocol: the same on sockets and event streams."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from interview_agent.pipeline.feed import (
    AlertShown,
    FeedItem,
    PartialShown,
    Retracted,
    StatusChanged,
    Updated,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from interview_agent.domain.transcript import Word

SCHEMA_VERSION = "v1"

Message = dict[str, Any]


def feed_message(meeting_id: str, item: FeedItem) -> Message:
    """Return an item of the feed of a meeting as a message."""
    event_type, content = _content(item)
    return {
        "schema_version": SCHEMA_VERSION,
        "event_type": event_type,
        "meeting_id": meeting_id,
        **content,
    }


def _content(item: FeedItem) -> tuple[str, Message]:
    match item:
        case Updated():
            return "transcript.update", _update(item)
        case Retracted():
            return "transcript.retract", {
                "segment_id": item.segment_id,
                "track": item.track,
                "event": item.event,
            }
        case PartialShown():
            return "transcript.partial", _partial(item)
        case StatusChanged():
            return "meeting.status", {
                "status": item.status.value,
                "version": item.version,
                "event": item.event,
            }
        case AlertShown():
            return "alert", {
                "track": item.alert.track,
                "code": item.alert.code.value,
                "since_s": item.alert.since_s,
            }


def _update(item: Updated) -> Message:
    segment = item.segment
    message: Message = {
        "seq": segment.last_seq,
        "speaker": segment.speaker,
        "raw_text": segment.raw_text,
        "enhanced_text": segment.text,
        "confidence": segment.confidence,
        "segment_id": segment.segment_id,
        "revision": segment.revision,
        "is_final": segment.is_final,
        "track": segment.track,
        "start": segment.start_s,
        "end": segment.end_s,
        "words": _words(segment.words),
        "language": segment.language,
        "event": item.event,
    }
    if item.quality is not None:
        rules = dict.fromkeys(change.rule for change in segment.changes)
        message |= {"quality": item.quality, "meta": {"applied": list(rules)}}
    return message


def _partial(item: PartialShown) -> Message:
    partial = item.partial
    return {
        "segment_id": partial.segment_id,
        "revision": partial.revision,
        "track": partial.track,
        "start": partial.words[0].start_s if partial.words else None,
        "end": partial.words[-1].end_s if partial.words else None,
        "text": item.text,
        "words": _words(partial.words),
        "committed": partial.committed,
    }


def _words(words: Iterable[Word]) -> list[Message]:
    return [
        {
            "text": word.text,
            "start": round(word.start_s, 3),
            "end": round(word.end_s, 3),
            "probability": word.probability,
        }
        for word in words
    ]
