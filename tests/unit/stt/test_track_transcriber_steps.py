"""How a track is taken step by step, with a recogniser that only counts."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from http_stand_ins import AbsentDeletions
from interview_agent.ports.transcriber import TrackInput
from interview_agent.runtime.upkeep import forget_deleted
from interview_agent.stt.track_transcriber import TrackTranscriber
from made_speech import (
    CountingModel,
    MemoryBlobs,
    ScriptedDecoder,
    Written,
    chunks_of,
    speech,
    store,
    write_down,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

TALK = (
    speech(12, 0.2, 1)
    + speech(3.3, 0)
    + speech(31, 0.3, 2)
    + speech(8, 0)
    + speech(40, 0.25, 3)
    + speech(2.5, 0)
    + speech(5, 0.9, 4)
)
"""97 s of which the loudest moment comes last."""


class Desk:
    """A transcriber and all it needs."""

    def __init__(self, crashes: int = 0, **options: float) -> None:
        self.blobs = MemoryBlobs()
        self.decoder = ScriptedDecoder(crashes)
        self.model = CountingModel()
        self.options = options
        self.transcriber = self.another()

    def another(self) -> TrackTranscriber:
        """Return a transcriber that knows nothing of what the first one did."""
        return TrackTranscriber(self.blobs, self.decoder, self.model, **self.options)  # type: ignore[arg-type]  # only `open` is used


async def whole() -> Written:
    """Return the transcript of the talk in one chunk."""
    desk = Desk()
    return await write_down(desk.transcriber, await store(desk.blobs, [TALK]))


@pytest.mark.parametrize("seconds", [0.25, 3, 30])
@pytest.mark.parametrize("options", [{}, {"max_open_tracks": 0}])
async def test_any_chunks_and_any_stops_give_the_same_text(
    seconds: float, options: dict[str, float]
) -> None:
    """Chunk sizes, wake-ups in between and a worker without memory change nothing."""
    desk = Desk(**options)
    parts = await store(desk.blobs, chunks_of(TALK, seconds))
    written = Written()
    stride = max(1, len(parts) // 5)
    for count in range(stride, len(parts), stride):
        await write_down(desk.transcriber, parts[:count], written, closed=False)
    await write_down(desk.transcriber, parts, written)
    expected = await whole()
    assert written.text == expected.text
    assert len(expected.segments) > 5


async def test_a_worker_that_dies_after_each_step_ends_with_the_same_text() -> None:
    """Every step is taken by a transcriber that knows the checkpoint alone."""
    desk = Desk()
    parts = await store(desk.blobs, chunks_of(TALK, 3))
    uninterrupted = await write_down(desk.another(), parts)
    written = Written()
    for steps in range(1, len(uninterrupted.steps) + 1):
        await write_down(desk.another(), parts, written, most_steps=steps)
    assert written.segments == uninterrupted.segments
    assert written.checkpoint == uninterrupted.checkpoint


async def test_the_same_input_gives_the_same_steps() -> None:
    """A retry of a lost commit finds what the first try found."""
    desk = Desk()
    parts = await store(desk.blobs, chunks_of(TALK, 3))
    first = await write_down(desk.transcriber, parts, closed=False)
    second = await write_down(desk.transcriber, parts, closed=False)
    assert first.steps == second.steps
    assert len(first.steps) >= 2


async def test_the_tail_is_not_part_of_the_checkpoint() -> None:
    """More sound after a close redoes the tail, and the words before it stand."""
    desk = Desk()
    parts = await store(desk.blobs, chunks_of(TALK, 3))
    written = await write_down(desk.transcriber, parts[:-2])
    stable = written.steps[-1].keep
    assert stable < len(written.segments)
    before = list(written.segments)
    await write_down(desk.transcriber, parts, written)
    expected = await whole()
    assert written.text == expected.text
    assert written.segments != before


async def test_nothing_is_said_of_open_sound_that_fills_no_window() -> None:
    """Less than 30 s of speech waits for more."""
    desk = Desk()
    parts = await store(desk.blobs, [speech(20, 0.3)])
    assert (await write_down(desk.transcriber, parts, closed=False)).steps == []
    assert desk.model.windows == 0


async def test_a_continuing_track_is_not_decoded_again() -> None:
    """What was played for one wake-up is not opened for the next."""
    desk = Desk()
    parts = await store(desk.blobs, chunks_of(TALK, 3))
    written = await write_down(desk.transcriber, parts[:20], closed=False)
    desk.blobs.opened.clear()
    await write_down(desk.transcriber, parts[:21], written, closed=False)
    assert set(desk.blobs.opened) == {"blob-20"}


async def test_a_late_chunk_in_a_hole_starts_the_track_again() -> None:
    """The filled track has the text of a track that never had the hole."""
    desk = Desk()
    parts = await store(desk.blobs, chunks_of(TALK, 3))
    written = await write_down(desk.transcriber, (*parts[:3], *parts[4:]))
    await write_down(desk.transcriber, parts, written)
    expected = await whole()
    assert written.text == expected.text
    assert written.steps[-1].done_seq == parts[-1].seq


async def test_a_late_loudest_moment_corrects_all_words_at_the_close() -> None:
    """Words heard under a lower ceiling are replaced in one step, unless the track is too long."""
    texts = []
    for exact_up_to_s in (1200.0, 10.0):
        desk = Desk(exact_up_to_s=exact_up_to_s)
        parts = await store(desk.blobs, chunks_of(TALK, 3))
        written = await write_down(desk.transcriber, parts[:-3], closed=False)
        await write_down(desk.transcriber, parts, written)
        texts.append(written.text)
        assert (written.steps[-1].keep == 0) == (exact_up_to_s > 100)
    expected = await whole()
    assert texts[0] == expected.text
    assert texts[1] != expected.text


async def test_silence_has_no_text_and_is_done() -> None:
    """A silent track closes without a word and without a window."""
    desk = Desk()
    parts = await store(desk.blobs, chunks_of(speech(70, 0), 3))
    written = await write_down(desk.transcriber, parts)
    assert written.segments == []
    assert written.steps[-1].done_seq == parts[-1].seq
    assert written.steps[-1].heard_s == 70
    assert desk.model.windows == 0


async def test_chunks_are_done_when_all_their_sound_is_behind() -> None:
    """`done_seq` never runs ahead of the position, and a segment names its chunks."""
    desk = Desk()
    parts = await store(desk.blobs, chunks_of(TALK, 3))
    written = await write_down(desk.transcriber, parts)
    for step in written.steps[:-1]:
        last = step.segments[-1]
        assert step.done_seq is not None
        assert step.done_seq <= last.last_seq
        assert last.first_seq == int(last.start_s // 3)


async def test_without_voice_detection_silence_is_heard_too() -> None:
    """With the filter off the timeline of speech is the track itself."""
    blobs, model = MemoryBlobs(), CountingModel()
    transcriber = TrackTranscriber(blobs, ScriptedDecoder(), model, vad_filter=False)  # type: ignore[arg-type]  # only `open` is used
    parts = await store(blobs, chunks_of(speech(10, 0.2) + speech(30, 0) + speech(5, 0.2), 3))
    written = await write_down(transcriber, parts)
    assert sum(len(segment.words) for segment in written.segments) == 90  # type: ignore[attr-defined]  # DraftSegment


async def test_a_bad_chunk_fails_alone() -> None:
    """A broken chunk is reported once; what comes before and after it is heard."""
    desk = Desk()
    good = [b"fLaC" + chunk for chunk in chunks_of(speech(40, 0.3), 4)]
    parts = await store(desk.blobs, [*good[:4], b"fLaCbad!", b"bad!", *good[4:]], codec="auto")
    written = await write_down(desk.transcriber, parts)
    assert written.failed == {4: "undecodable", 5: "no_stream_header"}
    other = Desk()
    expected = await write_down(other.transcriber, await store(other.blobs, good, codec="auto"))
    assert written.text == expected.text


async def test_tracks_advance_at_the_same_time_within_the_bound() -> None:
    """Many tracks at once all end well, and no more streams stay open than are allowed."""
    desk = Desk(max_open_tracks=3)
    parts = await store(desk.blobs, chunks_of(TALK, 3))
    expected = await whole()

    async def one(number: int) -> None:
        written = Written()
        for closed in (False, True):
            track_parts = parts if closed else parts[:20]
            steps = desk.transcriber.advance(
                TrackInput("m", f"t{number}", "en", track_parts, closed, written.checkpoint)
            )
            async for step in steps:
                written.commit(step)
                await asyncio.sleep(0)
        assert written.text == expected.text

    async with asyncio.TaskGroup() as group:
        for number in range(6):
            group.create_task(one(number))
    assert desk.decoder.open_streams <= 3
    await desk.transcriber.aclose()
    assert desk.decoder.open_streams == 0


async def test_what_is_kept_open_of_a_meeting_can_be_forgotten() -> None:
    desk = Desk()
    parts = await store(desk.blobs, chunks_of(TALK, 3))
    for meeting_id in ("m1", "m2"):
        async for _ in desk.transcriber.advance(
            TrackInput(meeting_id, "main", "en", parts[:20], False, None)
        ):
            pass
    assert desk.transcriber.open_meetings == {"m1", "m2"}
    asked: list[list[str]] = []

    class Deletions(AbsentDeletions):
        async def deleted(self, meeting_ids: Sequence[str]) -> Any:
            asked.append(list(meeting_ids))
            return await super().deleted(meeting_ids) if len(asked) == 1 else ["m1"]

    loop = asyncio.create_task(
        forget_deleted(
            Deletions(),
            lambda: desk.transcriber.open_meetings,
            desk.transcriber.forget,
            every_s=0.01,
        )
    )
    async with asyncio.timeout(10):
        while desk.transcriber.open_meetings != {"m2"}:
            assert not loop.done()
            await asyncio.sleep(0.01)
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)
    assert asked[0] == ["m1", "m2"]
    assert desk.decoder.open_streams == 1
    await desk.transcriber.aclose()
