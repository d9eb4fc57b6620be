"""A connection that breaks again and again costs no frame and no event, and doubles none."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from live_disconnects import judge, noise, record

if TYPE_CHECKING:
    from running_agents import Agents


@pytest.mark.slow
async def test_every_frame_and_event_survives_random_disconnects_once(agents: Agents) -> None:
    """`make chaos-live` does it a hundred times in one recording."""
    seed = random.randrange(1 << 32)
    (agent,) = agents.make_apart(["all"], STT_PROVIDER="mock")
    await agent.start()
    chance = random.Random(seed)
    journal = await record(
        agent,
        "torn",
        noise(chance),
        is_enough=lambda proxy, _: proxy.cuts >= 15,
        chance=chance,
    )
    assert await judge(agent, journal, agents.blob_dir) == [], (seed, journal.troubles)
    assert journal.cuts >= 15
    assert 1 < journal.connections <= journal.cuts + 1
