"""The connector over HTTP with the fake gateway behind it, in little time."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fake_sberjazz import FakeGateway, serve
from interview_agent.adapters.sberjazz import (
    AnswerLimits,
    GatewayAddress,
    GatewayCalls,
    Retries,
    RetryRules,
    SberjazzGateway,
)
from interview_agent.ports.connector import JoinOrder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ORDER = JoinOrder("m1", "m1:1", "https://salutejazz.ru/calls/abc?psw=secret", "Бот", "ru")
TOKEN = "t0ken"
DEADLINE_S = 10.0
RULES = RetryRules(timeout_s=1.0, retries=2, backoff_s=0.001, most_s=0.01)


@dataclass
class Stand:
    """A connector, the gateway that it speaks to, and the pauses that it took, in seconds."""

    connector: SberjazzGateway
    fake: FakeGateway
    pauses_s: list[float] = field(default_factory=list)


@asynccontextmanager
async def gateway_stand(
    *,
    rules: RetryRules = RULES,
    limits: AnswerLimits | None = None,
    token: str | None = TOKEN,
    base: str | None = None,
) -> AsyncIterator[Stand]:
    """Serve a gateway and speak to it; pauses are noted and not waited for."""
    pauses_s: list[float] = []

    async def note(pause_s: float) -> None:
        pauses_s.append(pause_s)
        await asyncio.sleep(0)

    async with serve(FakeGateway(token=token)) as fake:
        calls = GatewayCalls(GatewayAddress(base or f"{fake.address}/", token=token))
        retries = Retries(calls.send, rules, jitter=lambda: 1.0, sleep=note)
        connector = SberjazzGateway(calls, retries, limits=limits)
        try:
            yield Stand(connector, fake, pauses_s)
        finally:
            await connector.aclose()
