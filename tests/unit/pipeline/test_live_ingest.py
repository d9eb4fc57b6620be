"""How frames become durable, what is acknowledged, and what happens when storing fails."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from interview_agent.domain.errors import (
    Backpressure,
    BadFrame,
    ConsentDenied,
    DatabaseError,
    FrameGap,
    FrameRefused,
    FrameRepeated,
    FrameTooLarge,
    SessionTaken,
    StorageError,
    ValidationFailed,
)
from interview_agent.domain.route import Stage
from interview_agent.pipeline.live_ingest import (
    LiveIngest,
    LiveLimits,
)
from live_ingest_bench import FRAME, PATIENT, WEBM, Bench, send, until


async def test_every_frame_is_in_one_chunk_and_in_one_ack() -> None:
    bench = Bench(replace(PATIENT, chunk_s=0.25))
    track = await bench.start()
    frames = [bytes([number]) * 640 for number in range(40)]
    for audio in frames:
        await send(track, audio)
        await asyncio.sleep(0)
    await track.stop()
    assert bench.stored == b"".join(frames)
    assert bench.acked == list(range(40))
    assert [chunk.seq for chunk in bench.rows.chunks] == list(range(len(bench.rows.chunks)))
    assert [chunk.frames for chunk in bench.rows.chunks] == [
        (ack.first_frame, ack.frame) for ack in bench.acks
    ]
    assert bench.acks[0].frame == 12, "thirteen frames of 20 ms fill a chunk"
    assert bench.acks[-1].committed_s == pytest.approx(0.8)
    assert bench.counted["frames"] == 40
    assert bench.counted["audio_s"] == pytest.approx(0.8)


async def test_the_rest_is_stored_when_the_sender_pauses() -> None:
    bench = Bench(LiveLimits(chunk_s=0.05))
    track = await bench.start()
    await send(track, FRAME)
    await until(lambda: bench.acks)
    assert bench.acked == [0]
    await track.stop()


async def test_a_new_container_begins_a_chunk_and_its_length_is_unknown() -> None:
    bench = Bench(PATIENT)
    track = await bench.start(codec="audio/webm;codecs=opus")
    await send(track, WEBM, b"one", WEBM, b"two")
    await track.stop()
    assert [bench.blobs.bodies[each.blob_key] for each in bench.rows.chunks] == [
        WEBM + b"one",
        WEBM + b"two",
    ]
    assert [ack.committed_s for ack in bench.acks] == [None, None]


async def test_refused_frames_are_named_and_counted_and_leave_the_session_alive() -> None:
    bench = Bench(replace(PATIENT, frame_max_bytes=1000))
    track = await bench.start()
    await send(track, FRAME, FRAME)
    for number, audio, refusal in (
        (2, b"", BadFrame),
        (-1, FRAME, BadFrame),
        (2, bytes(993), FrameTooLarge),
        (3, FRAME, FrameGap),
        (1, FRAME, FrameRepeated),
        (0, b"other", FrameRepeated),
    ):
        with pytest.raises(FrameRefused) as refused:
            await track.frame(number, audio)
        assert type(refused.value) is refusal
    await send(track, bytes(992))
    await track.stop()
    assert bench.acked == [0, 1, 2]
    assert bench.stored == FRAME + FRAME + bytes(992)
    assert bench.counted["refused"] == [
        *("bad_frame", "bad_frame", "frame_too_large"),
        *("frame_gap", "frame_repeated", "frame_repeated"),
    ]


@pytest.mark.parametrize(
    "limits",
    [
        replace(PATIENT, max_in_flight=3),
        replace(PATIENT, unacked_max_bytes=3 * len(FRAME)),
        replace(PATIENT, chunk_s=0.001, max_in_flight=3),
    ],
)
async def test_nothing_more_is_taken_while_too_much_is_unacknowledged(limits: LiveLimits) -> None:
    bench = Bench(limits)
    bench.rows.gate = asyncio.Event()
    track = await bench.start()
    await send(track, FRAME, FRAME, FRAME)
    waiting = asyncio.create_task(track.frame(3, FRAME))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    assert track.next_frame == 3
    bench.rows.gate.set()
    await waiting
    await track.stop()
    assert bench.acked == [0, 1, 2, 3]


async def test_a_frame_larger_than_what_may_be_unacknowledged_passes_alone() -> None:
    bench = Bench(replace(PATIENT, unacked_max_bytes=100))
    track = await bench.start()
    async with asyncio.timeout(5):
        await send(track, b"small", FRAME, b"small")
    await track.stop()
    assert bench.acked == [0, 1, 2]


async def test_a_track_waits_while_all_of_them_hold_too_much_but_one_frame_is_always_taken() -> (
    None
):
    bench = Bench(PATIENT, held_max_bytes=3 * len(FRAME))
    bench.rows.gate = asyncio.Event()
    crowd = await bench.start(track="crowd")
    await send(crowd, FRAME, FRAME, FRAME)
    late = await bench.start(track="late")
    await send(late, FRAME)
    waiting = asyncio.create_task(late.frame(1, FRAME))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    assert bench.held.held_bytes == 4 * len(FRAME)
    bench.rows.gate.set()
    await crowd.stop()
    async with asyncio.timeout(5):
        await waiting
    await late.stop()
    assert bench.held.held_bytes == 0
    assert [ack.frame for ack in bench.acks if ack.track == "late"] == [0, 1]


async def test_what_a_lost_session_held_is_given_back() -> None:
    bench = Bench(PATIENT)
    track = await bench.start()
    await send(track, FRAME, FRAME)
    assert bench.held.held_bytes == 2 * len(FRAME)
    heir = await bench.start()
    await track.detach()
    assert bench.held.held_bytes == 0
    await heir.detach()


async def test_one_chunk_is_stored_at_a_time() -> None:
    bench = Bench(replace(PATIENT, chunk_s=0.001))
    bench.rows.gate = asyncio.Event()
    track = await bench.start()
    for _ in range(5):
        await send(track, FRAME)
        await asyncio.sleep(0.002)
    bench.rows.gate.set()
    await track.stop()
    assert [chunk.frames for chunk in bench.rows.chunks] == [(0, 0), (1, 4)]


async def test_an_outage_is_told_once_and_loses_nothing() -> None:
    bench = Bench()
    track = await bench.start()
    bench.blobs.faults = [StorageError(), StorageError()]
    bench.rows.faults_before = [DatabaseError()]
    await send(track, b"a" * 640)
    await until(lambda: bench.troubles)
    await send(track, b"b" * 640)
    await until(lambda: len(bench.acked) == 2)
    assert bench.troubles == ["storage_error", None]
    bench.blobs.faults = [StorageError()]
    await send(track, b"c" * 640)
    await track.stop()
    assert bench.troubles == ["storage_error", None, "storage_error", None]
    assert bench.stored == b"a" * 640 + b"b" * 640 + b"c" * 640
    assert bench.acked == [0, 1, 2]


async def test_a_commit_of_unknown_outcome_is_found_out() -> None:
    bench = Bench()
    track = await bench.start()
    bench.rows.faults_after = [DatabaseError()]
    await send(track, b"a" * 640)
    await until(lambda: bench.troubles)
    await send(track, b"b" * 640)
    await track.stop()
    assert bench.troubles == ["db_error", None]
    assert bench.stored == b"a" * 640 + b"b" * 640
    assert bench.acked == [0, 1]
    assert bench.acks[-1].committed_s == pytest.approx(0.04)


async def test_audio_that_is_refused_for_good_ends_the_session() -> None:
    bench = Bench()
    track = await bench.start()
    bench.rows.meetings["m1"].denied = True
    await send(track, FRAME)
    await until(track.lost.is_set)
    assert bench.troubles == ["consent_denied"]
    with pytest.raises(ConsentDenied):
        await track.frame(1, FRAME)
    with pytest.raises(ConsentDenied):
        await track.stop()
    assert bench.acks == []


async def test_a_fault_of_ours_ends_the_session_and_is_not_hidden() -> None:
    bench = Bench()
    track = await bench.start()
    bench.blobs.faults = [ZeroDivisionError()]
    await send(track, FRAME)
    await until(track.lost.is_set)
    with pytest.raises(ZeroDivisionError):
        await track.frame(1, FRAME)
    with pytest.raises(ZeroDivisionError):
        await track.detach()


async def test_a_frame_that_waits_learns_that_the_session_is_over() -> None:
    bench = Bench(replace(PATIENT, max_in_flight=1))
    bench.rows.gate = asyncio.Event()
    track = await bench.start()
    await send(track, FRAME)
    waiting = asyncio.create_task(track.frame(1, FRAME))
    await asyncio.sleep(0.01)
    heir = await bench.start()
    assert track.lost.is_set()
    with pytest.raises(SessionTaken):
        await waiting
    bench.rows.gate.set()
    await track.detach()
    assert heir.next_frame == 0
    assert bench.rows.chunks == []
    await heir.detach()


async def test_a_socket_that_takes_the_track_goes_on_where_durable_frames_end() -> None:
    bench = Bench()
    old = await bench.start()
    await send(old, b"a" * 640)
    await until(lambda: bench.acks)
    bench.rows.gate = asyncio.Event()
    await send(old, b"lost")
    heir = await bench.resume()
    assert heir.next_frame == 1
    with pytest.raises(SessionTaken):
        await old.frame(2, FRAME)
    bench.rows.gate.set()
    await send(heir, b"b" * 640)
    await heir.stop()
    await old.detach()
    with pytest.raises(SessionTaken):
        await old.stop()
    assert bench.stored == b"a" * 640 + b"b" * 640
    assert bench.acked == [0, 1]
    assert bench.acks[-1].committed_s == pytest.approx(0.04)


async def test_a_session_taken_elsewhere_is_lost_at_the_next_hold_or_chunk() -> None:
    bench, elsewhere = Bench(), Bench()
    elsewhere.door = LiveIngest(replace(bench.door._parts), random_hex=lambda _: "elsewhere")
    idle = await bench.start()
    busy = await bench.start(track="side")
    await elsewhere.resume()
    await elsewhere.resume("side")
    await send(busy, FRAME)
    await until(busy.lost.is_set)
    assert not idle.lost.is_set()
    holding = asyncio.create_task(bench.door.run(every_s=0.01))
    await until(idle.lost.is_set)
    holding.cancel()


async def test_stop_lets_go_of_the_meeting_and_detach_holds_it() -> None:
    bench = Bench()
    track = await bench.start()
    await send(track, FRAME)
    await track.stop()
    assert bench.acked == [0]
    assert not await bench.rows.is_open("m1", "main")
    with pytest.raises(BadFrame):
        await track.frame(1, FRAME)
    track = await bench.resume()
    assert bench.counted["sessions"] == 1
    await send(track, FRAME)
    await track.detach()
    assert bench.acked == [0, 1]
    assert await bench.rows.is_open("m1", "main")
    assert bench.counted["sessions"] == 0


async def test_a_socket_that_is_gone_in_an_outage_is_not_waited_for_long() -> None:
    bench = Bench(LiveLimits(chunk_s=0.02, detach_s=0.1))
    track = await bench.start()
    bench.rows.faults_before = [DatabaseError() for _ in range(100)]
    await send(track, FRAME)
    await until(lambda: bench.troubles)
    stopping = asyncio.create_task(track.stop())
    await asyncio.sleep(0.01)
    stopping.cancel()
    await asyncio.gather(stopping, return_exceptions=True)
    assert stopping.cancelled()
    async with asyncio.timeout(2):
        await track.detach()
    assert bench.acks == []
    bench.rows.faults_before = []
    assert (await bench.resume()).next_frame == 0


async def test_workers_are_woken_for_the_first_chunk_and_after_a_pause() -> None:
    bench = Bench()
    track = await bench.start()
    for _ in range(3):
        await send(track, FRAME)
        count = len(bench.acks)
        await until(lambda count=count: len(bench.acks) > count)
    assert bench.wake.hints == [(Stage.LIVE, "m1", "main")]
    bench.clock.ahead_s = 2.5
    await send(track, FRAME)
    await track.stop()
    assert len(bench.wake.hints) == 2
    again = await bench.resume()
    await send(again, FRAME)
    await again.stop()
    assert len(bench.wake.hints) == 3


async def test_what_is_not_captioned_goes_to_the_hearing_of_recordings() -> None:
    bench = Bench(live=False)
    bench.rows.workers = [0.0]
    track = await bench.start()
    await send(track, FRAME)
    await track.stop()
    assert bench.wake.hints == [(Stage.STT, "m1", "main")]
    assert [chunk.live for chunk in bench.rows.chunks] == [False]


async def test_the_hearing_of_recordings_is_woken_for_every_chunk() -> None:
    bench = Bench(live=False)
    track = await bench.start()
    for number in range(1, 4):
        await send(track, FRAME)
        await until(lambda number=number: len(bench.acks) == number)
    assert bench.wake.hints == [(Stage.STT, "m1", "main")] * 3
    await track.stop()


async def test_two_channels_are_heard_apart() -> None:
    bench = Bench()
    track = await bench.start(channels=2, sample_rate=48_000, speaker_hint="Anna")
    await send(track, bytes(19_200))
    await track.stop()
    (chunk,) = bench.rows.chunks
    assert chunk.rows == (("main-0", 0), ("main-1", 1))
    assert (chunk.codec, chunk.sample_rate, chunk.speaker_hint) == ("pcm", 48_000, "Anna")
    assert bench.acks[0].committed_s == pytest.approx(0.1)
    again = await bench.resume()
    await send(again, bytes(19_200))
    await again.stop()
    assert bench.rows.chunks[1].rows == chunk.rows


async def test_sessions_past_the_capacity_are_refused_but_open_ones_come_back() -> None:
    bench = Bench()
    first = await bench.start()
    await bench.start(track="side")
    bench.rows.workers = [2.5]
    with pytest.raises(Backpressure) as refused:
        await bench.start(track="third")
    assert refused.value.retry_after_s
    assert ("m1", "third") not in bench.rows.sessions
    await bench.start()
    await bench.resume("side")
    bench.rows.workers = [4.0]
    await bench.start(track="third", channels=2)
    with pytest.raises(Backpressure):
        await bench.start(track="fourth")
    assert first.lost.is_set()


async def test_while_the_process_stops_no_session_opens_and_open_ones_are_stored() -> None:
    bench = Bench(PATIENT)
    track = await bench.start()
    await send(track, FRAME, FRAME)
    bench.accepting = False
    for opening in (bench.start(track="side"), bench.resume()):
        with pytest.raises(Backpressure):
            await opening
    await track.detach()
    assert bench.acked == [0, 1]


@pytest.mark.parametrize(
    "fields",
    [
        {"meeting_id": "../x"},
        {"track": ""},
        {"track": "t" * 63, "channels": 2},
        {"codec": "g729"},
        {"channels": 3},
        {"channels": 0},
        {"sample_rate": 10},
    ],
)
async def test_a_track_that_cannot_be_heard_is_refused_before_anything_is_stored(
    fields: dict[str, Any],
) -> None:
    bench = Bench()
    with pytest.raises(ValidationFailed):
        await bench.start(**fields)
    assert bench.rows.meetings == {}
