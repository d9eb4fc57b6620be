"""When streams are sustained, and how the largest number of them is found."""

from __future__ import annotations

import pytest

from captions.delays import Delays
from captions.runs import MOST_STREAMS, ManyStreams, most_sustained


async def search(limit: int, *, first: int = 8, at_least: int = 1, runs: int = 99) -> list[int]:
    """Return the numbers tried on a machine that sustains `limit`, and the answer last."""
    tried: list[int] = []

    async def is_sustained(count: int) -> bool:
        tried.append(count)
        return count <= limit

    answer = await most_sustained(first, at_least, is_sustained, lambda: len(tried) < runs)
    return [*tried, answer]


@pytest.mark.parametrize("limit", range(1, MOST_STREAMS + 1))
async def test_the_largest_even_number_is_found_in_few_runs(limit: int) -> None:
    *tried, answer = await search(limit)
    assert answer == (1 if limit == 1 else limit - limit % 2)
    assert len(tried) <= 10


async def test_a_search_without_time_gives_what_was_shown_to_work() -> None:
    assert await search(30, runs=1) == [8, 8]
    assert await search(30, runs=2) == [8, 12, 12]
    assert await search(5, runs=1) == [8, 1]


async def test_a_machine_that_sustains_nothing_is_said_to() -> None:
    assert (await search(0, at_least=0))[-1] == 0


def run(
    committed_s: float = 1.0, late_s: float = 0.0, missing: int = 0, **fields: object
) -> ManyStreams:
    """Return a run of a hundred words; the last third comes `late_s` later."""
    times_s = {at: committed_s + (late_s if at >= 66 else 0.0) for at in range(100 - missing)}
    delays = Delays(words=100, shown_s=dict(times_s), committed_s=times_s)
    return ManyStreams(8, delays=[delays], expected_share=0.95, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("found", "fault"),
    [
        (run(), None),
        (run(committed_s=4.9), None),
        (run(committed_s=5.1), "commits are late"),
        (run(late_s=0.9), None),
        (run(late_s=1.1), "delays grow"),
        (run(missing=15), None),
        (run(missing=25), "words are lost"),
        (run(missing=100), "commits are late"),
        (run(refused="backpressure"), "refused: backpressure"),
        (run(errors=["frame_gap", "frame_gap"]), "errors: frame_gap"),
    ],
)
def test_streams_are_sustained_when_nothing_is_late_lost_or_growing(
    found: ManyStreams, fault: str | None
) -> None:
    assert found.fault == fault
