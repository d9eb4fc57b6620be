"""Whoever watches finds every meter in the role that owns it, from the start and without a key."""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING

import aiohttp

from interview_agent.domain.route import Stage
from interview_agent.metrics import METERS
from production_settings import SAFE

if TYPE_CHECKING:
    from running_agents import Agent, Agents

OF_THE_API = re.compile(
    "agent_(requests|http|chunks|feed|socket|live_(sessions|frames|audio)|audit)"
)
OF_WORKERS = re.compile(
    "agent_(pipeline|queue_tasks|work_put_off|leases|fenced|audio_heard|speech|live_(text|streams|cap))"
)
OF_OTHER_SETTINGS = re.compile("agent_(sberjazz|signing_key|embedded|speech_model_load)")
"""Of a connector, of tokens, of servers of one's own, of a model: nothing here has them."""


def address_for_watchers(agent: Agent) -> str:
    """Return where a process shows its metrics to whoever reaches that port."""
    if agent.role != "api":
        return agent.address
    lines = [json.loads(line) for line in agent.log.splitlines() if line.startswith("{")]
    return str(next(line["address"] for line in lines if line["msg"] == "probes_served"))


def shown(text: str) -> set[str]:
    """Return the names of meters that have a series."""
    series = {re.split(r"[{ ]", line)[0] for line in text.splitlines() if line[:1] != "#"}
    bases = {re.sub(r"_(bucket|sum|count)$", "", name) for name in series}
    return {meter.name for meter in METERS if meter.name in series | bases}


async def scrape(session: aiohttp.ClientSession, agent: Agent, wanted: set[str]) -> str:
    """Return what a process shows once the loop of the gauges has turned for the first time."""
    async with asyncio.timeout(30):
        while True:
            async with session.get(f"{address_for_watchers(agent)}/metrics") as answer:
                text = await answer.text()
            if answer.status == 200 and wanted <= shown(text):
                return text
            assert answer.status == 200, text
            await asyncio.sleep(0.2)


async def test_every_meter_is_there_in_its_role_before_anything_happens(agents: Agents) -> None:
    names = {meter.name for meter in METERS if not OF_OTHER_SETTINGS.match(meter.name)}
    everybody = {name for name in names if not (OF_THE_API.match(name) or OF_WORKERS.match(name))}
    owned = {
        "api": everybody | {name for name in names if OF_THE_API.match(name)},
        "worker": everybody | {name for name in names if OF_WORKERS.match(name)},
        "reconciliation": everybody,
    }
    roles = agents.make_apart(list(owned), **SAFE)
    await asyncio.gather(*(agent.start() for agent in roles))
    async with aiohttp.ClientSession() as session:
        texts = {each.role: await scrape(session, each, owned[each.role]) for each in roles}
        async with session.get(f"{roles[0].address}/metrics") as refused:
            assert refused.status == 401
    for role, text in texts.items():
        for stage in Stage:
            assert re.search(f'^agent_queue_depth{{queue="{stage.stream}"}} 0', text, re.MULTILINE)
        assert re.search("^agent_event_loop_lag_seconds ", text, re.MULTILINE), role
    series = (
        'agent_requests_total{method="POST",route="/v1/meetings/start",service="api",status="500"}'
    )
    assert f"{series} 0" in texts["api"]
