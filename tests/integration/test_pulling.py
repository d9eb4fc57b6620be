"""Sound from the fake gateway to rows and files: once, in order, under its speaker's name."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from fake_sberjazz import Fault
from interview_agent.adapters.postgres import PostgresBreakers, PostgresWorkStore
from interview_agent.domain.connector import EndReason
from interview_agent.domain.pulled_audio import track_of
from interview_agent.pipeline.connector import GuardedConnector, PullMeters
from pull_stand import TIMES, PullStand, pull_stand

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from interview_agent.adapters.postgres import Database

ANNA, BORIS = "42", "43"
PEOPLE = [{"id": ANNA, "name": "Анна"}, {"id": BORIS, "name": "Борис"}]


def sound(number: int) -> bytes:
    return bytes([number, 1]) * 400


@pytest_asyncio.fixture
async def stand(database: Database, tmp_path: Path) -> AsyncIterator[PullStand]:
    async with pull_stand(database, tmp_path / "audio") as made:
        await made.join()
        made.fake.room("m1").participants = PEOPLE
        yield made


async def test_participants_become_tracks_with_their_names_and_the_room_is_one_of_its_own(
    stand: PullStand,
) -> None:
    room = stand.fake.room("m1")
    for number in range(4):
        room.say(sound(number), ANNA)
        room.say(sound(10 + number), BORIS)
        room.say(sound(20 + number))
    stand.start()
    await stand.until_chunks(12)
    heard = await stand.bodies()
    assert heard == {
        track_of(ANNA): [sound(number) for number in range(4)],
        track_of(BORIS): [sound(10 + number) for number in range(4)],
        "room": [sound(20 + number) for number in range(4)],
    }
    async with stand.database.connection() as connection:
        rows = await connection.fetch("SELECT track, speaker_hint, live FROM tracks")
    assert {row["track"]: row["speaker_hint"] for row in rows} == {
        track_of(ANNA): "Анна",
        track_of(BORIS): "Борис",
        "room": None,
    }
    assert all(row["live"] for row in rows)


async def test_everything_repeated_and_reversed_arrives_once_and_in_order(
    stand: PullStand,
) -> None:
    room = stand.fake.room("m1")
    stand.fake.reverses, stand.fake.repeats = True, 2
    stand.start()
    for number in range(20):
        room.say(sound(number), ANNA)
        if number % 5 == 4:
            await asyncio.sleep(0.05)
    await stand.until_chunks(20)
    room.generation += 1
    room.say(sound(20), ANNA)
    await stand.until_chunks(21)
    assert await stand.bodies() == {track_of(ANNA): [sound(number) for number in range(21)]}


async def test_a_late_chunk_finds_its_place_and_a_contradiction_blocks_nobody(
    stand: PullStand,
) -> None:
    room = stand.fake.room("m1")
    for number in (0, 1, 3):
        room.say(sound(number), ANNA, id=str(number), seq=number)
    stand.start()
    await stand.until_chunks(3)
    room.say(sound(2), ANNA, id="2", seq=2)
    room.say(sound(99), ANNA, id="other", seq=1)
    room.add({"id": "no sound"})
    room.say(sound(4), ANNA, id="4", seq=4)
    await stand.until_chunks(5)
    assert await stand.bodies() == {track_of(ANNA): [sound(number) for number in range(5)]}


async def test_an_old_gateway_is_pulled_and_holds_its_meeting_open_by_that(
    stand: PullStand,
) -> None:
    stand.fake.old = True
    await stand.execute("UPDATE connector_sessions SET open_until = NULL, heartbeat_at = NULL")
    room = stand.fake.room("m1")
    room.say(sound(0))
    room.say(sound(1), seq="not numbered")
    stand.start()
    await stand.until_chunks(2)

    async def held() -> bool:
        row = await stand.row()
        return row["open_until"] is not None and row["heartbeat_at"] is not None

    await stand.until(held)
    await stand.join()
    room.say(sound(2))
    assert {(each.track, each.seq) for each in await stand.until_chunks(3)} == {
        ("room", 0),
        ("room", 1),
        ("room", 2),
    }


async def test_a_gateway_that_pushes_is_watched_to_its_end_and_never_asked_for_sound(
    stand: PullStand,
) -> None:
    room = stand.fake.room("m1")
    room.delivery = "push"
    room.say(sound(0), ANNA)
    await stand.execute("UPDATE connector_sessions SET open_until = NULL, heartbeat_at = NULL")
    stand.start()

    async def held() -> bool:
        return (await stand.row())["open_until"] is not None

    await stand.until(held)
    room.put("ended", "call_ended")
    await stand.until_row(state="ended", reason="call_ended", open_until=None)
    assert (await stand.archive.meeting("m1")).meeting.finish_requested
    assert stand.fake.calls("live-chunks") == []


async def test_a_silent_meeting_stays_open_as_long_as_its_bot_lives(stand: PullStand) -> None:
    work = PostgresWorkStore(stand.database)
    stand.fake.room("m1").say(sound(0), ANNA)
    pull = stand.pull()
    running = stand.start(pull)
    await stand.until_chunks(1)
    await stand.execute("UPDATE meetings SET last_audio_at = now() - interval '20 minutes'")
    assert await work.close_quiet(8.0) == 0
    pull.stop()
    await running
    await stand.execute("UPDATE connector_sessions SET open_until = now()")
    assert await work.close_quiet(8.0) == 1


async def test_the_end_of_a_call_is_noted_after_its_last_sound_and_finishes_the_meeting(
    stand: PullStand,
) -> None:
    stand.start()
    room = stand.fake.room("m1")
    await stand.until_row(pull_failures=0, state="active")
    for number in range(5):
        room.say(sound(number), ANNA)
    room.put("ended", "call_ended")
    await stand.until_row(state="ended", reason="call_ended", open_until=None)
    assert len(await stand.chunks()) == 5
    assert (await stand.archive.meeting("m1")).meeting.closed


class Failures:
    """Counts drains that failed."""

    def __init__(self) -> None:
        self.count = 0
        self.meters = PullMeters(run=self._note)

    def _note(self, _: object, result: str) -> None:
        self.count += result == "failed"

    async def until(self, stand: PullStand, count: int) -> None:
        """Wait for so many."""

        async def enough() -> bool:
            return self.count >= count

        await stand.until(enough)


async def until_asked(stand: PullStand) -> None:
    """Wait until the gateway is asked for sound."""

    async def asked() -> bool:
        return bool(stand.fake.calls("live-chunks"))

    await stand.until(asked)


def end_call(stand: PullStand, chunks: int) -> list[bytes]:
    """Let a call end of which nobody has taken anything yet; return what was said in it."""
    room = stand.fake.room("m1")
    said = [sound(number) for number in range(chunks)]
    for each in said:
        room.say(each, ANNA)
    room.put("ended", "call_ended")
    return said


async def test_the_end_of_a_call_waits_for_a_breaker_that_is_open(stand: PullStand) -> None:
    said = end_call(stand, 5)
    breakers = PostgresBreakers(stand.database)
    guarded = GuardedConnector(stand.connector, breakers, threshold=2, open_s=0.5)
    stand.fake.break_next("live-chunks", Fault("status", times=2))
    stand.start(stand.pull(guarded))
    await stand.until_row(state="ended")
    assert await stand.bodies() == {track_of(ANNA): said}


async def test_the_end_of_a_call_waits_for_a_storage_that_is_away(
    stand: PullStand, tmp_path: Path
) -> None:
    said, failures = end_call(stand, 5), Failures()
    (tmp_path / "audio").rename(tmp_path / "away")
    stand.start(stand.pull(meters=failures.meters))
    await failures.until(stand, 5)
    assert (await stand.row())["state"] == "active"
    (tmp_path / "away").rename(tmp_path / "audio")
    await stand.until_row(state="ended")
    assert await stand.bodies() == {track_of(ANNA): said}


@pytest.mark.parametrize("broken", ["door", "gateway"])
async def test_the_end_of_a_call_is_left_to_others_by_a_process_that_stops(
    stand: PullStand, broken: str
) -> None:
    said = end_call(stand, 5)
    stand.accepting = broken != "door"
    if broken == "gateway":
        stand.fake.break_next("live-chunks", Fault("status", times=0, delay_s=0.3))
    pull = stand.pull()
    running = stand.start(pull)
    await until_asked(stand)
    pull.stop()
    await running
    assert (await stand.row())["state"] == "active"
    stand.accepting = True
    stand.fake.faults.clear()
    stand.start()
    await stand.until_row(state="ended")
    assert await stand.bodies() == {track_of(ANNA): said}


async def test_the_end_of_a_call_waits_for_all_sound_however_much_it_is(stand: PullStand) -> None:
    said = end_call(stand, 230)
    stand.start(stand.pull(batch_limit=1))
    await stand.until_row(state="ended")
    assert await stand.bodies() == {track_of(ANNA): said}


async def test_a_bot_that_is_called_back_hands_over_all_however_much_it_is(
    stand: PullStand,
) -> None:
    # So long nothing is pulled that the bot is not wanted any more by then.
    waiting = replace(TIMES, interval_s=1.0)
    pull = stand.pull(batch_limit=1, times=waiting)
    running = stand.start(pull)
    await until_asked(stand)
    await stand.execute("UPDATE connector_sessions SET wanted = false")
    for number in range(130):
        stand.fake.room("m1").say(sound(number), ANNA)
    assert len(await stand.until_chunks(130)) == 130
    pull.stop()
    await running


async def test_a_gateway_that_fails_at_the_end_of_a_call_is_given_up(stand: PullStand) -> None:
    end_call(stand, 1)
    stand.fake.break_next("live-chunks", Fault("status", times=0))
    stand.start()
    await stand.until_row(state="ended")
    assert len(stand.fake.calls("live-chunks")) == 3


async def test_a_bot_that_is_lost_leaves_the_meeting_open_for_another_one(
    stand: PullStand,
) -> None:
    stand.start()
    stand.fake.room("m1").say(sound(0), ANNA)
    await stand.until_chunks(1)
    stand.fake.room("m1").put("gone")
    await stand.until_row(state="ended", reason=EndReason.LOST)
    assert not (await stand.archive.meeting("m1")).meeting.finish_requested
    assert (await stand.row())["open_until"] is not None
    await stand.join()
    stand.fake.room("m1").say(sound(1), ANNA)
    await stand.until_chunks(2)
    assert await stand.bodies() == {track_of(ANNA): [sound(0), sound(1)]}


async def test_without_consent_nothing_is_taken_and_the_bot_is_wanted_back(
    stand: PullStand,
) -> None:
    await stand.execute("UPDATE meetings SET consent = 'denied'")
    stand.fake.room("m1").say(sound(0), ANNA)
    stand.start()
    await stand.until_row(wanted=False, last_error="consent_denied", open_until=None)
    assert await stand.chunks() == []


async def test_the_cursor_stands_while_we_cannot_store(stand: PullStand) -> None:
    stand.accepting = False
    stand.fake.room("m1").say(sound(0), ANNA)
    stand.start()

    async def asked() -> bool:
        return len(stand.fake.calls("live-chunks")) >= 3

    await stand.until(asked)
    row = await stand.row()
    assert (row["cursor"], row["pull_failures"]) == (None, 0)
    stand.accepting = True
    await stand.until_chunks(1)
    assert (await stand.row())["cursor"] is not None


async def test_failures_of_the_gateway_are_counted_until_it_hands_over_sound_again(
    stand: PullStand,
) -> None:
    stand.fake.break_next("live-chunks", Fault("status", times=3), Fault("html"))
    stand.fake.room("m1").say(sound(0), ANNA)
    stand.start()
    await stand.until_row(pull_failures=4, last_error="connector_invalid_response")
    await stand.until_row(pull_failures=0, last_error=None)
    assert len(await stand.until_chunks(1)) == 1


async def test_failures_are_forgotten_too_when_another_bot_came_meanwhile(
    stand: PullStand,
) -> None:
    stand.fake.break_next("live-chunks", Fault("status", times=0))
    # So late is it known that the bot is another one: the first good pulls are noted in vain.
    stand.start(stand.pull(times=replace(TIMES, renew_s=0.5)))
    await stand.until_failures(2)
    await stand.join()
    stand.fake.faults.clear()
    await stand.until_row(pull_failures=0)


async def test_a_gateway_whose_cursor_goes_round_is_not_asked_without_end(
    stand: PullStand,
) -> None:
    room = stand.fake.room("m1")
    page = {"chunks": [], "next_cursor": "here"}
    room.page = lambda *_, **__: page  # type: ignore[method-assign]
    stand.start()
    await stand.until_row(cursor="here")
    room.say(sound(0), ANNA)
    page["chunks"] = [entry() for entry in room.log]
    await stand.until_chunks(1)
    before = len(stand.fake.calls("live-chunks"))
    await asyncio.sleep(0.3)
    assert len(stand.fake.calls("live-chunks")) - before < 10


async def test_two_processes_share_the_sessions_and_a_stopped_one_hands_them_over(
    stand: PullStand,
) -> None:
    for number in range(2, 7):
        await stand.join(f"m{number}")
    first, second = stand.pull(), stand.pull()
    stopping = stand.start(first)
    stand.start(second)
    for number in range(1, 7):
        stand.fake.room(f"m{number}").say(sound(number), ANNA)
        await stand.until_chunks(1, f"m{number}")
    assert first.sessions + second.sessions == 6
    first.stop()
    await stopping
    for number in range(1, 7):
        stand.fake.room(f"m{number}").say(sound(number), ANNA)
        await stand.until_chunks(2, f"m{number}")
    assert second.sessions == 6


async def test_a_lease_that_was_let_go_cannot_be_kept_by_a_late_renewal(stand: PullStand) -> None:
    provider = stand.connector.provider
    (claim,) = await stand.pulls.claim(provider, "first", lease_s=60, limit=1)
    await stand.pulls.release(claim)
    assert await stand.pulls.renew([claim], lease_s=60) == {}
    assert len(await stand.pulls.claim(provider, "second", lease_s=60, limit=1)) == 1


async def test_what_an_overtaken_process_pulled_is_refused(stand: PullStand) -> None:
    room = stand.fake.room("m1")
    stand.start()
    room.say(sound(0), ANNA)
    await stand.until_chunks(1)
    stand.fake.break_next("live-chunks", Fault("slow", delay_s=0.4))
    room.say(sound(1), ANNA)
    await stand.execute(
        "UPDATE connector_sessions SET pull_fence = pull_fence + 1,"
        " pull_until = now() + interval '1 minute'"
    )
    await asyncio.sleep(0.8)
    assert len(await stand.chunks()) == 1
    await stand.execute("UPDATE connector_sessions SET pull_until = now()")
    await stand.until_chunks(2)


async def test_a_gateway_that_hangs_over_one_meeting_keeps_no_other_waiting(
    stand: PullStand,
) -> None:
    class Hanging:
        """Never answers for m1."""

        provider = "sberjazz"

        async def session(self, meeting_id: str, **terms: object) -> object:
            if meeting_id == "m1":
                await asyncio.Event().wait()
            return await stand.connector.session(meeting_id, **terms)  # type: ignore[arg-type]

        async def live_chunks(self, *asked: object, **terms: object) -> object:
            return await stand.connector.live_chunks(*asked, **terms)  # type: ignore[arg-type]

    await stand.join("m2")
    stand.start(stand.pull(Hanging()))  # type: ignore[arg-type]
    began_s = time.monotonic()
    stand.fake.room("m2").say(sound(0), ANNA)
    await stand.until_chunks(1, "m2")
    assert time.monotonic() - began_s < 5


async def test_one_pull_for_an_operator_takes_what_nobody_pulls(stand: PullStand) -> None:
    await stand.join("m2")
    for number in range(5):
        stand.fake.room("m1").say(sound(number), ANNA)
    stand.fake.room("m1").add({"id": "no sound"})
    stand.fake.break_next("live-chunks", Fault("status"))
    pull = stand.pull()
    summary = await pull.pull_once(100, 2)
    again = await pull.pull_once(100, 2)
    assert (summary.scanned, summary.connected) == (2, 2)
    assert (summary.pulled, summary.failed) == (1, 1)
    assert summary.ingested + again.ingested == 5
    assert summary.invalid_chunks + again.invalid_chunks == 1
    assert (again.pulled, again.failed) == (2, 0)


async def test_an_operator_is_told_once_of_what_others_pulled(stand: PullStand) -> None:
    stand.start()
    for number in range(4):
        stand.fake.room("m1").say(sound(number), ANNA)
    await stand.until_chunks(4)
    other = stand.pull()
    told = [await other.pull_once(100, 20) for _ in range(2)]
    assert [each.ingested for each in told] == [4, 0]
    assert [(each.scanned, each.connected, each.failed) for each in told] == [(1, 1, 0)] * 2
    assert told[0].pulled == 1


async def test_the_tail_of_a_call_that_ended_is_told_of_too(stand: PullStand) -> None:
    stand.start()
    stand.fake.room("m1").say(sound(0), ANNA)
    stand.fake.room("m1").put("ended", "call_ended")
    await stand.until_row(state="ended")
    assert (await stand.pull().pull_once(100, 20)).ingested == 1


async def test_the_delay_from_capture_to_acceptance_is_measured(stand: PullStand) -> None:
    stand.fake.room("m1").say(sound(0), ANNA, captured_at_ms=int(time.time() * 1000) - 2_000)
    stand.start()
    await stand.until_chunks(1)
    assert 2 <= stand.delays_s[0] < 10
