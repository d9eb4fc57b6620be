"""The only layer of retries between an operation and a gateway."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

import structlog

from interview_agent.domain.errors import ConnectorTimeout, ConnectorUnavailable
from interview_agent.domain.retry import backoff_s

if TYPE_CHECKING:
    from interview_agent.adapters.sberjazz.answer import Answer
    from interview_agent.adapters.sberjazz.calls import Call

Send = Callable[["Call", float], Awaitable["Answer"]]
"""Sends a call once, within so many seconds."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RetryRules:
    """How often, when and after what a call is made again.

    `timeout_s` bounds each call. `retries` come after the first call, with pauses drawn from 0 to
    `backoff_s`, which doubles up to `most_s`. `statuses` are those that are retried.
    """

    timeout_s: float = 10.0
    retries: int = 2
    backoff_s: float = 0.3
    most_s: float = 30.0
    statuses: frozenset[int] = frozenset({408, 409, 425, 429, 500, 502, 503, 504})


class Retries:
    """Makes a call until it is settled, its retries are used up, or its deadline is near.

    `jitter` gives random numbers from 0 to 1.
    """

    def __init__(
        self,
        send: Send,
        rules: RetryRules,
        *,
        jitter: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._send = send
        self._rules = rules
        self._jitter = jitter
        self._clock = clock
        self._sleep = sleep

    async def send(self, call: Call, *, deadline_s: float) -> Answer:
        """Return the last answer. Raises what the last call raised.

        What another call could do twice is never made again. A pause that would end behind the
        deadline, the gateway's `Retry-After` included, is not begun.
        """
        ends_s = self._clock() + deadline_s
        attempt = 0
        while True:
            attempt += 1
            left_s = max(ends_s - self._clock(), 0.0)
            try:
                answer = await self._send(call, min(self._rules.timeout_s, left_s))
            except (ConnectorTimeout, ConnectorUnavailable) as error:
                if not await self._pause(call, attempt, ends_s, why=error.code):
                    raise
                continue
            if not self._is_retried(answer):
                return answer
            least_s = answer.retry_after_s or 0.0
            if not await self._pause(call, attempt, ends_s, least_s, why=str(answer.status)):
                return answer

    def _is_retried(self, answer: Answer) -> bool:
        if answer.status == HTTPStatus.CONFLICT and not answer.in_progress:
            return False
        return answer.status in self._rules.statuses

    async def _pause(
        self, call: Call, attempt: int, ends_s: float, least_s: float = 0.0, *, why: str
    ) -> bool:
        """Wait before the next attempt; False, at once, when there is to be none."""
        rules = self._rules
        drawn_s = backoff_s(
            attempt, self._jitter(), base_s=rules.backoff_s, most_s=rules.most_s, least=0.0
        )
        pause_s = max(drawn_s, least_s)
        is_last = attempt > rules.retries or not call.repeatable
        if is_last or self._clock() + pause_s >= ends_s:
            return False
        _log.info("gateway_call_retried", operation=call.operation, attempt=attempt, why=why)
        await self._sleep(pause_s)
        return True
