"""What the facts of a meeting say: gaps, what can be heard, status, speakers."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from interview_agent.domain.meeting import (
    Chunk,
    ChunkRun,
    ChunkState,
    Consent,
    Extent,
    Gap,
    Meeting,
    Mode,
    StageState,
    StageView,
    Status,
    gaps_between,
    gaps_by_track,
    meeting_status,
    missing_expected,
    participants,
    playable,
    received_ranges,
    roles_by_speaker,
    speaker_of,
)
from interview_agent.domain.route import Stage

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MEETING = Meeting(
    meeting_id="m",
    owner="subject:a",
    mode=Mode.REALTIME,
    language=None,
    consent=Consent.UNKNOWN,
    context={},
    recipients=(),
    created_at=NOW,
    last_audio_at=NOW,
    audio_version=2,
    closed_version=None,
    reported_version=None,
    finish_requested=False,
    version=0,
    event=0,
    expected_last_seq={},
)
CLOSED = replace(MEETING, closed_version=2)


def chunk(seq: int, state: ChunkState = ChunkState.PENDING) -> Chunk:
    return Chunk(
        track="main",
        upload_track="main",
        seq=seq,
        sha256="",
        size_bytes=1,
        blob_key="k",
        codec="pcm",
        sample_rate=16_000,
        channels=1,
        channel=None,
        state=state,
        reason=None,
        accepted_at=NOW,
    )


def stage(name: Stage, state: StageState, attempts: int = 0) -> StageView:
    return StageView(name, None, state, attempts, None, NOW)


def runs(track: str, *seqs: tuple[int, int], sent_as: str | None = None) -> list[ChunkRun]:
    return [
        ChunkRun(track, sent_as or track, first, last, ChunkState.DONE, None)
        for first, last in seqs
    ]


@pytest.mark.parametrize(
    ("received", "ranges"),
    [
        ([], []),
        ([(5, 5)], [(5, 5)]),
        ([(3, 3), (1, 1), (2, 2), (2, 2)], [(1, 3)]),
        ([(0, 1), (6, 6), (4, 4), (7, 7)], [(0, 1), (4, 4), (6, 7)]),
        ([(0, 9), (2, 3), (5, 12), (14, 14)], [(0, 12), (14, 14)]),
    ],
)
def test_what_came_becomes_closed_ranges_that_do_not_touch(
    received: list[tuple[int, int]], ranges: list[tuple[int, int]]
) -> None:
    assert received_ranges(received) == ranges


@pytest.mark.parametrize(
    ("received", "last", "gaps"),
    [
        ([], None, []),
        ([], 2, [(0, 2)]),
        ([(7, 8)], None, []),
        ([(7, 8)], 8, []),
        ([(7, 8)], 3, []),
        ([(7, 7), (9, 9)], 11, [(8, 8), (10, 11)]),
    ],
)
def test_gaps_lie_between_what_came_and_up_to_what_was_promised(
    received: list[tuple[int, int]], last: int | None, gaps: list[tuple[int, int]]
) -> None:
    """The lowest number that came is the start of the track, so nothing is missing before it."""
    assert gaps_between("t", received, last) == [Gap("t", *gap) for gap in gaps]


def test_a_hole_holds_an_open_track_and_a_closed_one_goes_on() -> None:
    chunks = [chunk(3), chunk(1), chunk(0)]
    assert [each.seq for each in playable(chunks, closed=False)] == [0, 1]
    assert [each.seq for each in playable(chunks, closed=True)] == [0, 1, 3]


def test_a_failed_chunk_is_not_heard_and_holds_nothing() -> None:
    chunks = [chunk(0), chunk(1, ChunkState.FAILED), chunk(2)]
    assert [each.seq for each in playable(chunks, closed=False)] == [0, 2]


@pytest.mark.parametrize(
    ("expected", "came", "missing"),
    [
        ({}, {"main": [0, 2]}, False),
        ({"main": 1}, {"main": [0, 1]}, False),
        ({"main": 1}, {"main": [0]}, True),
        ({"main": 2}, {"main": [0, 2]}, True),
        ({"main": 0}, {"main": [0, 2]}, True),
        ({"main": 1}, {"main": [0, 1, 2]}, False),
        ({"main": 8}, {"main": [7, 8]}, False),
        ({"main": 1}, {"other": [0, 1]}, True),
        ({"main": 1, "other": 0}, {"main": [0, 1], "other": [0]}, False),
        ({"main": 1, "other": 1}, {"main": [0, 1], "other": [0]}, True),
    ],
)
def test_a_promise_is_kept_when_every_number_of_the_track_came(
    expected: dict[str, int], came: dict[str, list[int]], missing: bool
) -> None:
    extents = {track: Extent(min(seqs), max(seqs), len(seqs)) for track, seqs in came.items()}
    assert missing_expected(expected, extents) is missing
    ranges = {track: [(seq, seq) for seq in seqs] for track, seqs in came.items()}
    gaps = [gaps_between(track, ranges.get(track, ()), last) for track, last in expected.items()]
    assert any(gaps) is missing


def test_what_was_promised_for_a_sent_track_holds_for_every_track_it_is_heard_as() -> None:
    came = [
        *runs("left", (0, 0), (2, 2), sent_as="main"),
        *runs("right", (0, 2), sent_as="main"),
        *runs("solo", (4, 4)),
    ]
    assert gaps_by_track({"main": 3, "solo": 4, "absent": 0}, came) == {
        "absent": [Gap("absent", 0, 0)],
        "left": [Gap("left", 1, 1), Gap("left", 3, 3)],
        "right": [Gap("right", 3, 3)],
        "solo": [],
    }


def test_a_meeting_without_work_yet_is_queued() -> None:
    assert meeting_status(MEETING, []) is Status.QUEUED
    waiting = [stage(Stage.STT, StageState.WAITING)]
    assert meeting_status(MEETING, waiting) is Status.QUEUED


@pytest.mark.parametrize(
    "view",
    [
        stage(Stage.STT, StageState.RUNNING),
        stage(Stage.STT, StageState.DONE),
        stage(Stage.STT, StageState.WAITING, attempts=1),
    ],
)
def test_a_meeting_is_processing_from_the_first_try_to_the_report(view: StageView) -> None:
    assert meeting_status(MEETING, [view]) is Status.PROCESSING


def test_a_report_on_all_the_audio_makes_it_done_whatever_comes_after() -> None:
    reported = replace(CLOSED, reported_version=2)
    late_failure = [stage(Stage.STT, StageState.FAILED), stage(Stage.DELIVERY, StageState.FAILED)]
    assert meeting_status(reported, late_failure) is Status.DONE


def test_audio_after_the_report_opens_the_meeting_again() -> None:
    reopened = replace(CLOSED, reported_version=2, audio_version=3)
    stages = [stage(Stage.STT, StageState.WAITING), stage(Stage.ANALYTICS, StageState.DONE)]
    assert meeting_status(reopened, stages) is Status.PROCESSING


def test_a_failed_stage_fails_the_meeting_only_when_nothing_before_the_report_is_left() -> None:
    failed, done = stage(Stage.STT, StageState.FAILED), stage(Stage.ENHANCER, StageState.DONE)
    assert meeting_status(CLOSED, [failed, done]) is Status.FAILED
    waiting = stage(Stage.ENHANCER, StageState.WAITING)
    assert meeting_status(CLOSED, [failed, waiting]) is Status.PROCESSING


def test_a_failed_delivery_alone_never_fails_a_meeting() -> None:
    stages = [stage(Stage.ANALYTICS, StageState.DONE), stage(Stage.DELIVERY, StageState.FAILED)]
    assert meeting_status(CLOSED, stages) is Status.PROCESSING


@pytest.mark.parametrize("listed", [None, 5, "x", {"track": "main"}, [5, None, {}, {"track": 7}]])
def test_malformed_participants_are_passed_over(listed: object) -> None:
    assert participants({"participants": listed}) == {}


@pytest.mark.parametrize(
    ("track", "hint", "name", "tracks", "speaker"),
    [
        ("main", None, None, 1, None),
        ("main", None, None, 2, "main"),
        ("left", None, None, 1, "left"),
        ("main", "Hint", None, 1, "Hint"),
        ("main", "Hint", "  Anna ", 1, "Anna"),
        ("main", "Hint", "   ", 1, "Hint"),
        ("main", "Hint", {"a": 1}, 1, "Hint"),
    ],
)
def test_a_speaker_is_the_participant_then_the_hint_then_the_track(
    track: str, hint: str | None, name: object, tracks: int, speaker: str | None
) -> None:
    context = {"participants": [{"track": track, "name": name}]}
    assert speaker_of(track, hint, context, tracks=tracks) == speaker


def test_only_the_two_known_roles_count() -> None:
    roles = {"a": "interviewer", "b": "candidate", "c": "boss", "d": ["x"]}
    context = {"participants": [{"track": track, "role": role} for track, role in roles.items()]}
    speakers = {"a": "Anna", "b": "Boris", "c": "Clara", "d": "Dima", "e": "Eva", "f": None}
    assert roles_by_speaker(speakers, context) == {"Anna": "interviewer", "Boris": "candidate"}


def test_a_participant_without_a_track_is_known_by_a_name_that_nobody_shares() -> None:
    context = {
        "participants": [
            {"name": " Anna ", "role": "interviewer"},
            {"name": "Boris", "role": "candidate"},
            {"name": "Boris", "role": "interviewer"},
            {"name": "Clara", "role": "interviewer"},
            {"name": "Eva", "role": "candidate", "track": "elsewhere"},
            {"track": "c", "role": "candidate"},
        ]
    }
    speakers = {"a": "Anna", "b": "Boris", "c": "Clara", "e": "Eva"}
    assert roles_by_speaker(speakers, context) == {"Anna": "interviewer", "Clara": "candidate"}


def test_who_was_named_has_a_role_though_no_track_is_theirs() -> None:
    context = {
        "participants": [
            {"track": "a", "name": "Anna", "role": "interviewer"},
            {"name": " Pavel ", "role": "interviewer"},
            {"track": "never", "name": "Rita", "role": "interviewer"},
            {"name": "Sonya", "role": "boss"},
            {"name": "  ", "role": "interviewer"},
            {"name": "Two", "role": "interviewer"},
            {"name": "Two", "role": "interviewer"},
            {"track": "e", "name": "Earlier", "role": "interviewer"},
            {"track": "e", "name": "Eva", "role": "candidate"},
        ]
    }
    assert roles_by_speaker({"a": "Anna", "e": "Eva", "f": None}, context) == {
        "Anna": "interviewer",
        "Eva": "candidate",
        "Pavel": "interviewer",
        "Rita": "interviewer",
    }
