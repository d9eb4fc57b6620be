"""When a call to a gateway is made again, on a clock that stands still but for what is waited."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from interview_agent.adapters.sberjazz import Retries, RetryRules
from interview_agent.adapters.sberjazz.answer import Answer
from interview_agent.adapters.sberjazz.calls import Call
from interview_agent.domain.errors import ConnectorInvalidResponse, ConnectorTimeout

GET = Call("GET", "session", "m1")
POST = Call("POST", "join", "m1", key="m1:1")
POST_WITHOUT_KEY = Call("POST", "join", "m1")
FAILURE = Answer(500)


@dataclass
class Slow:
    """A gateway whose every answer takes `takes_s`, and a clock that knows of it."""

    answers: list[Answer | Exception]
    takes_s: float = 0.0
    now_s: float = 100.0
    asked: int = 0
    pauses_s: list[float] = field(default_factory=list)

    async def send(self, _: Call, timeout_s: float) -> Answer:
        self.asked += 1
        self.now_s += min(self.takes_s, timeout_s)
        if self.takes_s > timeout_s:
            raise ConnectorTimeout
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def sleep(self, pause_s: float) -> None:
        self.pauses_s.append(pause_s)
        self.now_s += pause_s

    def retries(self, rules: RetryRules, jitter: float = 1.0) -> Retries:
        return Retries(
            self.send, rules, jitter=lambda: jitter, clock=lambda: self.now_s, sleep=self.sleep
        )


async def test_pauses_double_up_to_their_limit() -> None:
    gateway = Slow([FAILURE])
    rules = RetryRules(retries=4, backoff_s=0.5, most_s=2.0)
    assert await gateway.retries(rules).send(GET, deadline_s=60) == FAILURE
    assert gateway.pauses_s == [0.5, 1.0, 2.0, 2.0]


async def test_the_jitter_is_full() -> None:
    gateway = Slow([FAILURE])
    await gateway.retries(RetryRules(backoff_s=0.5), jitter=0.0).send(GET, deadline_s=60)
    assert gateway.pauses_s == [0.0, 0.0]


async def test_the_gateways_own_pause_wins_where_it_is_longer() -> None:
    gateway = Slow([Answer(503, retry_after="2"), Answer(503, retry_after="0"), Answer(200)])
    await gateway.retries(RetryRules(backoff_s=0.5)).send(GET, deadline_s=60)
    assert gateway.pauses_s == [2.0, 1.0]


async def test_a_post_without_a_key_is_never_sent_twice() -> None:
    gateway = Slow([FAILURE])
    assert await gateway.retries(RetryRules()).send(POST_WITHOUT_KEY, deadline_s=60) == FAILURE
    assert gateway.asked == 1


async def test_only_the_configured_statuses_are_retried() -> None:
    gateway = Slow([FAILURE])
    rules = RetryRules(statuses=frozenset({503}))
    await gateway.retries(rules).send(POST, deadline_s=60)
    assert gateway.asked == 1


async def test_without_retries_there_is_one_call() -> None:
    gateway = Slow([ConnectorTimeout()])
    with pytest.raises(ConnectorTimeout):
        await gateway.retries(RetryRules(retries=0)).send(POST, deadline_s=60)
    assert gateway.asked == 1


async def test_an_answer_that_is_not_the_protocol_is_not_asked_for_again() -> None:
    gateway = Slow([ConnectorInvalidResponse()])
    with pytest.raises(ConnectorInvalidResponse):
        await gateway.retries(RetryRules()).send(GET, deadline_s=60)
    assert gateway.asked == 1


@pytest.mark.parametrize("takes_s", [0.0, 0.7, 3.0, 9.0, 100.0])
@pytest.mark.parametrize("deadline_s", [0.0, 1.0, 5.0, 20.0])
async def test_no_operation_takes_longer_than_its_deadline(
    takes_s: float, deadline_s: float
) -> None:
    gateway = Slow([FAILURE], takes_s=takes_s)
    rules = RetryRules(timeout_s=4.0, retries=10, backoff_s=0.5)
    began_s = gateway.now_s
    with suppress(ConnectorTimeout):
        assert await gateway.retries(rules).send(POST, deadline_s=deadline_s) == FAILURE
    assert gateway.now_s - began_s <= deadline_s
    assert gateway.asked >= 1
