"""Captions of a track from worker to worker: stops, lost leases, holes, crashes, silence."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from caption_twin import CaptionTwin, script
from interview_agent.domain.errors import SttError
from interview_agent.domain.live import AlertCode, Partial
from interview_agent.domain.route import Stage
from live_bench import CHUNK_S, LiveBench

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from interview_agent.adapters.embedded import EmbeddedAddresses
    from interview_agent.adapters.postgres import Database
    from interview_agent.ports.captions import CaptionResult, CaptionWindow
    from machine_pace import Pace

SAID = script((0.5, 20), (0.9, 12), (1.4, 20))
TEXT = [word.text for word in SAID]


@pytest_asyncio.fixture
async def bench(
    database: Database, tmp_path: Path, servers: EmbeddedAddresses
) -> AsyncIterator[LiveBench]:
    made = await LiveBench.open(database, tmp_path, servers, SAID)
    try:
        yield made
    finally:
        await made.close()


class Gated(CaptionTwin):
    """Answers no window that is longer than some seconds until its gate is opened."""

    def __init__(self, longer_than_s: float) -> None:
        super().__init__(SAID)
        self.longer_than_s = longer_than_s
        self.held, self.gate = asyncio.Event(), asyncio.Event()

    async def caption(self, window: CaptionWindow) -> CaptionResult:
        if window.samples.size > self.longer_than_s * 16_000:
            self.held.set()
            await self.gate.wait()
        return await super().caption(window)


async def numbered(bench: LiveBench) -> None:
    """Check that events have no gap and no repeat."""
    events = await bench.events()
    assert [each.event for each in events] == list(range(1, len(events) + 1))


async def test_captions_appear_while_audio_comes_and_the_whole_is_heard_after_the_end(
    bench: LiveBench,
) -> None:
    worker = await bench.worker()
    half = bench.last_seq // 2
    await bench.send(0, half)
    await bench.until_words(12)
    assert worker.live.streams == 1
    await bench.send(half + 1, bench.last_seq)
    await bench.until_words(len(TEXT) - 3)
    await bench.intake.finish("m1", {})
    await bench.until_done()
    assert await bench.words() == [text.upper() for text in TEXT]
    events = await bench.events()
    await numbered(bench)
    live = [each.segment for each in events if each.segment and each.segment.raw_text.islower()]
    stood = {each.segment_id: each for each in live}
    assert " ".join(each.raw_text for each in stood.values()).split() == TEXT
    names = {each.segment_id for each in live}
    assert bench.partials()
    assert {each.segment_id for each in bench.partials()} <= names
    assert all(len(each.words) >= each.committed for each in bench.partials())
    assert bench.delays_s
    assert min(bench.delays_s) >= 0


async def test_a_worker_that_stops_in_mid_speech_hands_its_track_over_at_once(
    bench: LiveBench,
) -> None:
    first = await bench.worker()
    await bench.send(0, 30)
    await bench.until_words(8)
    second = await bench.worker(CaptionTwin(SAID))
    await first.leave()
    row = await bench.work_row()
    assert row["reached"] == 0
    await bench.send(31, bench.last_seq)
    await bench.until_words(len(TEXT) - 3)
    assert second.live.streams == 1
    assert await bench.work_row(Stage.STT) is None
    await bench.intake.finish("m1", {})
    await bench.until_done()
    await numbered(bench)
    assert await stood_live(bench) == TEXT


async def stood_live(bench: LiveBench) -> list[str]:
    """Return the words as they stood before the whole was heard."""
    stood: dict[str, str] = {}
    for event in await bench.events():
        if event.segment is not None and event.segment.raw_text.islower():
            stood[event.segment_id] = event.segment.raw_text
    return " ".join(stood.values()).split()


async def test_a_worker_that_stops_when_the_meeting_is_closed_leaves_the_end_to_another(
    bench: LiveBench,
) -> None:
    """The whole is not heard before the captions are complete."""
    twin = Gated(longer_than_s=0.5)
    first = await bench.worker(twin)
    await bench.send(0, bench.last_seq)
    await twin.held.wait()
    await bench.intake.finish("m1", {})
    first.live.stop()
    leaving = asyncio.ensure_future(first.leave())
    twin.gate.set()
    await leaving
    assert await bench.work_row(Stage.STT) is None
    await bench.worker(CaptionTwin(SAID))
    await bench.until_done()
    assert await stood_live(bench) == TEXT


async def test_a_worker_that_lost_its_lease_in_mid_speech_commits_nothing(
    bench: LiveBench,
) -> None:
    twin = Gated(longer_than_s=2.0)
    loser = await bench.worker(twin)
    await bench.send(0, 20)
    await twin.held.wait()
    before = await bench.events()
    await bench.execute("UPDATE stage_work SET epoch = epoch + 1 WHERE stage = 'live'")
    twin.gate.set()

    async def lost() -> bool:
        return 'agent_leases_lost_total{stage="live"} 1' in loser.metrics.render()

    await bench.until(lost)
    assert await bench.events() == before
    await loser.leave()
    await bench.execute("UPDATE stage_work SET lease_until = NULL WHERE stage = 'live'")
    await bench.worker(CaptionTwin(SAID))
    await bench.send(21, bench.last_seq)
    await bench.until_words(len(TEXT))
    assert await bench.words() == TEXT
    await numbered(bench)


async def test_a_hole_holds_the_track_until_it_is_filled(bench: LiveBench) -> None:
    await bench.worker()
    await bench.send(0, 11)
    await bench.send(13, bench.last_seq)

    async def let_go() -> bool:
        return not (await bench.work_row())["held"]

    await bench.until_words(5)
    await bench.until(let_go)
    heard = await bench.words()
    assert heard == TEXT[: len(heard)]
    assert (await bench.segments())[-1].end_s <= 3.0
    await bench.send(12, 12)
    await bench.until_words(len(TEXT))
    # The flush before the hole may have cut a word in two.
    whole = [text for text in await bench.words() if not text.endswith("-")]
    assert whole == [text for text in TEXT if text in whole]
    assert len(whole) >= len(TEXT) - 1


async def test_a_hole_that_stays_is_passed_over_when_the_meeting_ends(bench: LiveBench) -> None:
    bench.twin.strict = False
    await bench.worker()
    await bench.send(0, 11)
    await bench.send(13, bench.last_seq)
    await bench.intake.finish("m1", {})
    await bench.until_done()
    assert len(await stood_live(bench)) >= len(TEXT) - 3


async def test_a_hole_that_a_gateway_leaves_is_passed_over_after_some_seconds(
    bench: LiveBench,
) -> None:
    bench.twin.strict = False
    await bench.worker()
    await bench.send(0, 11)
    await bench.execute(
        "INSERT INTO connector_sessions (meeting_id, provider) VALUES ('m1', 'sberjazz')"
    )
    await bench.execute(
        "INSERT INTO connector_tracks (meeting_id, participant_id, track) VALUES ('m1', '', 'main')"
    )
    await bench.send(13, bench.last_seq)
    before = await bench.words()
    await bench.execute("UPDATE chunks SET accepted_at = accepted_at - interval '6 seconds'")
    await bench.until_words(len(TEXT) - 3)
    assert len(before) < len(TEXT) - 3
    assert not (await bench.archive.meeting("m1")).meeting.closed


async def test_an_idle_track_is_let_go_and_taken_again(bench: LiveBench) -> None:
    worker = await bench.worker()
    await bench.send(0, 30)

    async def let_go() -> bool:
        row = await bench.work_row()
        return row["due_at"] is None and not row["held"] and worker.live.streams == 0

    await bench.until(let_go)
    row = await bench.work_row()
    assert row["reached"] == row["wanted"] == 31
    assert (await bench.segments())[-1].is_final
    await bench.send(31, bench.last_seq)
    await bench.until_words(len(TEXT) - 3)
    assert worker.live.streams == 1
    assert await bench.work_row(Stage.STT) is None


async def test_what_was_heard_stands_when_the_audio_stalls(bench: LiveBench) -> None:
    """A sender that falls silent without a pause in its sound leaves no word waiting."""
    await bench.worker()
    last = int(SAID[9].end_s / 0.25)
    await bench.send(0, last)
    await bench.until_words(10)
    assert (await bench.words())[:10] == TEXT[:10]


async def test_a_decoder_that_dies_costs_a_try_and_no_word(bench: LiveBench) -> None:
    bench.decoder.crashes = 1
    await bench.worker()
    await bench.send(0, bench.last_seq, prefix={20: b"crash!"})
    await bench.until_words(len(TEXT))
    assert await bench.words() == TEXT
    assert bench.decoder.crashes == 0


async def test_a_chunk_on_which_every_decoder_dies_is_passed_over(bench: LiveBench) -> None:
    bench.decoder.crashes = 1000
    bench.twin.strict = False
    await bench.worker()
    await bench.send(0, bench.last_seq, prefix={20: b"crash!"})
    await bench.until_words(len(TEXT) - 3)
    assert (await bench.words())[:10] == TEXT[:10]
    assert bench.decoder.crashes >= 990


async def test_a_recogniser_that_fails_costs_a_try_and_no_word(bench: LiveBench) -> None:
    bench.twin.failures = [SttError(), SttError()]
    await bench.worker()
    await bench.send(0, bench.last_seq)
    await bench.until_words(len(TEXT))
    assert await bench.words() == TEXT


async def test_captions_that_are_given_up_on_leave_the_words_to_the_whole_hearing(
    bench: LiveBench,
) -> None:
    bench.twin.failures = [SttError() for _ in range(100)]
    await bench.send(0, bench.last_seq)
    await bench.execute("UPDATE stage_work SET attempts = 4 WHERE stage = 'live'")
    await bench.intake.finish("m1", {})
    await bench.worker()
    await bench.until_done()
    assert await bench.words() == [text.upper() for text in TEXT]
    assert (await bench.work_row())["failed"]


async def test_captions_that_were_given_up_on_go_on_behind_what_was_heard_as_a_whole(
    bench: LiveBench,
) -> None:
    """Late audio opens the meeting again; what has its words already is not captioned twice."""
    twin = CaptionTwin(SAID)
    half = 48
    worker = await bench.worker(twin)
    await bench.send(0, 20)
    await bench.until_words(5)
    twin.failures = [SttError() for _ in range(100)]
    await bench.execute("UPDATE stage_work SET attempts = 4 WHERE stage = 'live'")
    await bench.send(21, half)
    await bench.intake.finish("m1", {})
    await bench.until_done()
    stood = len(await bench.words())
    assert (await bench.work_row())["failed"]
    twin.failures = []
    await bench.send(half + 1, bench.last_seq)
    await bench.until_words(stood + 15)
    assert worker.live.streams == 1
    words = await bench.words()
    assert len({text.lower() for text in words}) == len(words)


async def test_nothing_is_captioned_of_a_meeting_that_was_not_consented_to(
    bench: LiveBench,
) -> None:
    await bench.send(0, 20)
    await bench.execute("UPDATE meetings SET consent = 'denied'")
    await bench.worker()

    async def settled() -> bool:
        return (await bench.work_row())["due_at"] is None

    await bench.until(settled)
    assert bench.twin.windows == []
    assert await bench.events() == []


async def test_a_track_without_speech_is_told_and_told_that_it_is_over(
    database: Database, tmp_path: Path, servers: EmbeddedAddresses
) -> None:
    bench = await LiveBench.open(database, tmp_path, servers, script((34.0, 6), (2.0, 1)))
    try:
        await bench.worker()
        await bench.send(0, bench.last_seq)

        async def over() -> bool:
            return any(each.since_s == 0.0 for each in bench.alerts())

        await bench.until(over)
        told = [each for each in bench.alerts() if each.code is AlertCode.NO_SPEECH]
        assert [each.since_s > 30 for each in told] == [True, False]
    finally:
        await bench.close()


async def test_workers_that_die_one_after_another_leave_no_hole_and_no_double(
    bench: LiveBench, pace: Pace
) -> None:
    """A lease that nobody renews is taken over; here it is ended by hand."""
    kills = 3
    step = bench.last_seq // (kills + 1)
    for number in range(kills):
        worker = await bench.worker(CaptionTwin(SAID))
        await bench.send(number * step, (number + 1) * step - 1)
        await bench.until_words(8 * (number + 1))
        for task in worker._running:
            task.cancel()
        await asyncio.gather(*worker._running, return_exceptions=True)
        worker._running.clear()
        await bench.execute("UPDATE stage_work SET lease_until = NULL, due_at = now()")
    await bench.worker(CaptionTwin(SAID))
    began = time.monotonic()
    await bench.send(kills * step, bench.last_seq)
    await bench.until_words(len(TEXT))
    assert await bench.words() == TEXT
    assert time.monotonic() - began < pace.slowed(15)
    await numbered(bench)


async def test_captions_of_a_track_that_began_late_have_the_time_of_the_meeting(
    bench: LiveBench,
) -> None:
    await bench.send(0, 0)
    async with bench.database.connection() as connection:
        await connection.execute("UPDATE tracks SET offset_s = 100")
    await bench.worker()
    await bench.send(1, bench.last_seq)
    await bench.until_words(len(TEXT) - 3)
    await bench.intake.finish("m1", {})
    await bench.until_done()
    told = [each.segment for each in await bench.events() if each.segment]
    partials = [each for each in bench.signals if isinstance(each, Partial)]
    starts_s = [word.start_s for each in (*told, *partials) for word in each.words]
    assert starts_s
    assert min(starts_s) == pytest.approx(100 + SAID[0].start_s, abs=0.5)
    assert max(each.end_s for each in told) == pytest.approx(100 + SAID[-1].end_s, abs=0.5)
    assert await bench.words() == [text.upper() for text in TEXT], "heard again, and not twice"
    report = (await bench.archive.meeting("m1")).report
    assert report is not None
    assert report["duration_s"] == pytest.approx(100 + (bench.last_seq + 1) * CHUNK_S, abs=0.1)
