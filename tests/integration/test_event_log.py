"""The log of changes, and what does not belong in it yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from interview_agent.adapters.postgres.event_log import log_changes
from interview_agent.domain.route import Stage
from interview_agent.domain.transcript import Change
from interview_agent.ports.stage_records import EnhancedText
from work_bench import Bench, chunk, progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from interview_agent.ports.work import Claim


async def heard(bench: Bench, *texts: str) -> Claim:
    await bench.intake.accept(chunk(0))
    claim = await bench.claim(Stage.STT)
    await bench.records.commit_progress(claim, progress(*texts))
    return claim


async def test_an_event_holds_the_segment_as_it_stood_then(bench: Bench) -> None:
    claim = await heard(bench, "um one", "two")
    (first, _) = await bench.archive.segments("m1")
    change = Change("filler_cleanup", "um ", "", 0)
    text = EnhancedText(first.segment_id, 1, "one", (change,))
    assert await bench.records.commit_enhanced(claim, [text]) == 1
    await bench.records.commit_progress(claim, progress("um one!"))
    events = await bench.archive.events("m1", 0, 100)
    told = [
        (
            each.event,
            each.segment and (each.segment.raw_text, each.segment.text, each.segment.revision),
            each.enhanced,
        )
        for each in events
    ]
    assert told == [
        (1, ("um one", "um one", 1), False),
        (2, ("two", "two", 1), False),
        (3, ("um one", "one", 1), True),
        (4, None, False),
        (5, ("um one!", "um one!", 2), False),
    ]
    assert events[2].segment is not None
    assert events[2].segment.changes == (change,)
    (now,) = await bench.archive.segments("m1")
    assert events[4].segment == now


async def test_text_that_was_readable_as_it_was_makes_no_event(bench: Bench) -> None:
    claim = await heard(bench, "One.")
    (segment,) = await bench.archive.segments("m1")
    same = EnhancedText(segment.segment_id, 1, "One.", ())
    assert await bench.records.commit_enhanced(claim, [same]) == 0
    assert len(await bench.archive.events("m1", 0, 100)) == 1


@pytest.mark.parametrize(
    "named", [("seg_000001", "seg_000001"), ("seg_000001", "seg_000099"), ("nobody",)]
)
async def test_a_change_that_cannot_be_logged_takes_no_number(
    bench: Bench, named: Sequence[str]
) -> None:
    await heard(bench, "one")
    with pytest.raises(ValueError, match="changed segments"):
        async with bench.database.transaction() as connection:
            await log_changes(connection, "m1", named)
    assert (await bench.archive.meeting("m1")).meeting.event == 1
    assert len(await bench.archive.events("m1", 0, 100)) == 1


async def test_changes_of_several_meetings_come_in_one_look(bench: Bench) -> None:
    for meeting_id in ("m1", "m2", "m3"):
        await bench.intake.accept(chunk(0, meeting_id=meeting_id))
        claim = await bench.claim(Stage.STT)
        await bench.records.commit_progress(claim, progress("a", "b", "c"))
    found = await bench.archive.changes({"m1": 0, "m2": 2, "m3": 3, "nobody": 0}, 2)
    numbers = {key: [event.event for event in events] for key, events in found.items()}
    assert numbers == {"m1": [1, 2], "m2": [3]}


async def test_standings_are_those_of_the_meetings_that_exist(bench: Bench) -> None:
    await heard(bench, "one")
    found = await bench.archive.standings(["m1", "nobody"])
    assert set(found) == {"m1"}
    assert found["m1"].meeting.event == 1
    assert [view.stage for view in found["m1"].stages] == [Stage.STT]


async def test_a_segment_that_still_grows_is_not_enhanced_and_is_no_neighbour(
    bench: Bench,
) -> None:
    claim = await heard(bench, "a product that people", "use every day")
    async with bench.database.connection() as connection:
        await connection.execute(
            "UPDATE segments SET is_final = false WHERE raw_text = 'use every day'"
        )
    (only,) = await bench.records.unenhanced(claim, 10)
    assert (only.segment.raw_text, only.next_raw_text) == ("a product that people", "")
