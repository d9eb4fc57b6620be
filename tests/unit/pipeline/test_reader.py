"""What callers get to read."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from interview_agent.domain.errors import NotFound, ValidationFailed
from interview_agent.domain.identity import Identity, Kind
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
from interview_agent.domain.transcript import Segment, Word
from interview_agent.pipeline.reader import Reader, read_cursor, write_cursor
from interview_agent.ports.archive import MeetingListItem, MeetingView, TrackView

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
OWNER = Identity("a", "user_api_key", Kind.USER)
STRANGER = Identity("b", "user_api_key", Kind.USER)
SERVICE = Identity("s", "service_api_key", Kind.SERVICE)
PHONE = "8 916 123-45-67"

MEETING = Meeting(
    meeting_id="m1",
    owner=OWNER.owner,
    mode=Mode.REALTIME,
    language="ru",
    consent=Consent.GRANTED,
    context={"participants": [{"track": "left", "name": "Анна", "role": "interviewer"}]},
    recipients=(),
    created_at=NOW,
    last_audio_at=NOW,
    audio_version=3,
    closed_version=3,
    reported_version=3,
    finish_requested=True,
    version=1,
    event=4,
    expected_last_seq={},
)


def chunk(
    track: str, seq: int, state: ChunkState = ChunkState.DONE, upload_track: str | None = None
) -> Chunk:
    return Chunk(
        track=track,
        upload_track=upload_track or track,
        seq=seq,
        sha256="ab" * 32,
        size_bytes=10,
        blob_key=f"k/{seq}",
        codec="pcm",
        sample_rate=16_000,
        channels=1,
        channel=None,
        state=state,
        reason="undecodable" if state is ChunkState.FAILED else None,
        accepted_at=NOW,
    )


def segment(track: str, start_s: float, raw_text: str, text: str | None = None) -> Segment:
    return Segment(
        meeting_id="m1",
        segment_id=f"{track}-{start_s}",
        track=track,
        start_s=start_s,
        end_s=start_s + 1,
        raw_text=raw_text,
        text=raw_text if text is None else text,
        words=tuple(Word(word, start_s, start_s + 0.1, 0.9) for word in raw_text.split()),
    )


def stage(stage_: Stage, state: StageState, track: str | None = None) -> StageView:
    return StageView(stage_, track, state, 1, None, NOW)


class OneMeeting:
    """An archive that holds one meeting."""

    def __init__(
        self,
        meeting: Meeting = MEETING,
        *,
        segments: Sequence[Segment] = (),
        chunks: Sequence[Chunk] = (),
        stages: Sequence[StageView] = (),
        report: Mapping[str, Any] | None = None,
        listed: Sequence[Meeting] = (),
        tracks: Sequence[str] = ("left", "right"),
    ) -> None:
        self._view = MeetingView(
            meeting=meeting,
            tracks=[TrackView(track, None, "ru", 2.5) for track in tracks],
            stages=stages,
            deliveries=(),
            report=report,
            report_version=1 if report else None,
        )
        self._segments, self._chunks, self._listed = list(segments), list(chunks), listed
        self.asked_owner: str | None = "nobody asked"
        self.was_read = False

    async def owner(self, meeting_id: str) -> str:
        if meeting_id != self._view.meeting.meeting_id:
            message = "a message that only this archive has"
            raise NotFound(message)
        return self._view.meeting.owner

    async def meeting(self, meeting_id: str) -> MeetingView:
        if meeting_id != self._view.meeting.meeting_id:
            message = "a message that only this archive has"
            raise NotFound(message)
        self.was_read = True
        return self._view

    async def meetings(
        self, owner: str | None, *, limit: int, before: tuple[datetime, str] | None
    ) -> list[MeetingListItem]:
        self.asked_owner = owner
        after = [
            one for one in self._listed if not before or (one.created_at, one.meeting_id) < before
        ]
        return [MeetingListItem(one, ()) for one in after[:limit]]

    async def segments(self, meeting_id: str) -> list[Segment]:
        assert meeting_id == self._view.meeting.meeting_id
        return self._segments

    async def chunks(self, meeting_id: str, track: str | None = None) -> list[Chunk]:
        assert meeting_id == self._view.meeting.meeting_id
        return [one for one in self._chunks if track in {None, one.track}]

    async def runs(self, meeting_id: str) -> list[ChunkRun]:
        return [one.run for one in await self.chunks(meeting_id)]


TALK = (
    segment("right", 2.0, f"мой номер {PHONE}", f"Мой номер {PHONE}."),
    segment("left", 0.5, "добрый день", "Добрый день."),
    segment("left", 4.0, "  "),
)


async def test_transcripts_are_lines_by_start_time_over_all_tracks() -> None:
    body = await Reader(OneMeeting(segments=TALK), pii_masking=False).meeting(OWNER, "m1")
    assert body["raw_transcript"] == f"Анна: добрый день\nright: мой номер {PHONE}"
    assert body["enhanced_transcript"] == f"Анна: Добрый день.\nright: Мой номер {PHONE}."


async def test_the_speaker_of_a_single_mixed_track_is_unknown() -> None:
    archive = OneMeeting(segments=[segment("main", 0.0, "привет")], tracks=["main"])
    body = await Reader(archive, pii_masking=False).meeting(OWNER, "m1")
    assert body["raw_transcript"] == "UNKNOWN: привет"
    assert body["tracks"][0]["speaker"] is None


async def test_masking_hides_personal_data_from_users_and_not_from_services() -> None:
    report = {"summary": f"звонить {PHONE}", "bullets": [{"quote": PHONE}], "risk_flags": []}
    reader = Reader(OneMeeting(segments=TALK, report=report), pii_masking=True)
    for seen in (await reader.meeting(OWNER, "m1"), await reader.segments(OWNER, "m1")):
        assert "123-45" not in repr(seen)
        assert "[PHONE]" in repr(seen)
    assert PHONE in repr((await reader.meeting(SERVICE, "m1"))["report"])
    assert PHONE in repr(await reader.segments(SERVICE, "m1"))


async def test_masking_can_be_switched_off() -> None:
    reader = Reader(OneMeeting(segments=TALK), pii_masking=False)
    assert PHONE in repr(await reader.segments(OWNER, "m1"))


async def test_a_foreign_meeting_answers_exactly_like_an_absent_one() -> None:
    archive = OneMeeting(segments=TALK)
    reader = Reader(archive, pii_masking=True)
    for read in (reader.meeting, reader.chunks, reader.segments, reader.status):
        with pytest.raises(NotFound) as foreign:
            await read(STRANGER, "m1")
        assert not archive.was_read, "how much there is would show in the time that it takes"
        with pytest.raises(NotFound) as absent:
            await read(OWNER, "other")
        assert (foreign.value.message, foreign.value.details) == (
            absent.value.message,
            absent.value.details,
        )


@pytest.mark.parametrize("meeting_id", ["../x", "a/b", "", "a" * 65, "a\0b", "-a", "..", "a\n"])
async def test_an_id_that_no_meeting_can_have_is_refused_before_any_query(meeting_id: str) -> None:
    with pytest.raises(ValidationFailed):
        await Reader(OneMeeting(), pii_masking=True).meeting(OWNER, meeting_id)


async def test_a_meeting_tells_its_status_gaps_failures_and_roles() -> None:
    archive = OneMeeting(
        replace(MEETING, expected_last_seq={"left": 4, "right": 1}),
        chunks=[chunk("left", 0), chunk("left", 2, ChunkState.FAILED)],
        stages=[stage(Stage.STT, StageState.DONE, "left")],
    )
    body = await Reader(archive, pii_masking=True).meeting(OWNER, "m1")
    assert (body["status"], body["closed"], body["report"]) == ("done", True, None)
    assert body["chunks"] == {"pending": 0, "processing": 0, "done": 1, "failed": 1}
    assert body["gaps"] == [
        {"track": "left", "first_seq": 1, "last_seq": 1},
        {"track": "left", "first_seq": 3, "last_seq": 4},
        {"track": "right", "first_seq": 0, "last_seq": 1},
    ]
    assert body["failed_chunks"] == [{"track": "left", "seq": 2, "reason": "undecodable"}]
    assert [track["role"] for track in body["tracks"]] == ["interviewer", None]


async def test_a_pending_chunk_is_shown_as_processing_while_its_track_is_heard() -> None:
    archive = OneMeeting(
        chunks=[
            chunk("left", 0),
            chunk("left", 1, ChunkState.PENDING),
            chunk("right", 0, ChunkState.PENDING),
        ],
        stages=[stage(Stage.STT, StageState.RUNNING, "left")],
    )
    reader = Reader(archive, pii_masking=True)
    left, right = (await reader.chunks(OWNER, "m1"))["tracks"]
    assert [one["state"] for one in left["chunks"]] == ["done", "processing"]
    assert [one["state"] for one in right["chunks"]] == ["pending"]
    counts = (await reader.meeting(OWNER, "m1"))["chunks"]
    assert counts == {"pending": 1, "processing": 1, "done": 1, "failed": 0}


async def test_an_uploader_learns_what_came_and_where_to_go_on() -> None:
    archive = OneMeeting(chunks=[chunk("left", seq) for seq in (7, 3, 4, 9)])
    (left,) = (await Reader(archive, pii_masking=True).chunks(OWNER, "m1"))["tracks"]
    assert left["received"] == [[3, 4], [7, 7], [9, 9]]
    assert left["gaps"] == [[5, 6], [8, 8]]
    assert left["next_seq"] == 10
    assert [one["seq"] for one in left["chunks"]] == [3, 4, 7, 9]
    assert len(left["chunks"][0]["sha256"]) == 64


async def test_an_uploader_of_split_channels_finds_its_own_track_and_no_phantom() -> None:
    archive = OneMeeting(
        replace(MEETING, expected_last_seq={"main": 1}),
        chunks=[chunk("main-0", 0, upload_track="main"), chunk("main-1", 0, upload_track="main")],
    )
    tracks = (await Reader(archive, pii_masking=True).chunks(OWNER, "m1"))["tracks"]
    assert [(one["track"], one["upload_track"], one["gaps"]) for one in tracks] == [
        ("main-0", "main", [[1, 1]]),
        ("main-1", "main", [[1, 1]]),
    ]


async def test_pages_follow_each_other_without_loss_or_repeat() -> None:
    listed = [
        replace(MEETING, meeting_id=f"m{n}", created_at=NOW - timedelta(seconds=n))
        for n in range(5)
    ]
    archive = OneMeeting(listed=listed)
    reader = Reader(archive, pii_masking=True)
    seen: list[str] = []
    cursor = None
    for _ in range(3):
        page = await reader.meetings(OWNER, 2, cursor)
        seen += [one["meeting_id"] for one in page["meetings"]]
        cursor = page["next_cursor"]
    assert seen == ["m0", "m1", "m2", "m3", "m4"]
    assert cursor is None
    assert archive.asked_owner == OWNER.owner


async def test_a_service_lists_the_meetings_of_everybody() -> None:
    archive = OneMeeting()
    assert await Reader(archive, pii_masking=True).meetings(SERVICE, 5) == {
        "meetings": [],
        "next_cursor": None,
    }
    assert archive.asked_owner is None


def test_a_cursor_comes_back_as_it_was() -> None:
    assert read_cursor(write_cursor(NOW, "m1")) == (NOW, "m1")


@pytest.mark.parametrize(
    "content",
    [
        '["2026-01-01T00:00:00","m1"]',
        '["x","m1"]',
        '["2026-01-01T00:00:00+00:00",5]',
        '["2026-01-01T00:00:00+00:00","../x"]',
        "[]",
        "5",
        "null",
        '{"a":1,"b":2}',
        "[" * 9000,
    ],
)
def test_a_cursor_that_we_never_gave_is_a_validation_error(content: str) -> None:
    with pytest.raises(ValidationFailed):
        read_cursor(base64.urlsafe_b64encode(content.encode()).decode())


@pytest.mark.parametrize("cursor", ["%", "a", "!!!!", "ы", "a b", "MjAyNg\n"])
def test_a_cursor_that_is_no_base64_is_a_validation_error(cursor: str) -> None:
    with pytest.raises(ValidationFailed):
        read_cursor(cursor)
