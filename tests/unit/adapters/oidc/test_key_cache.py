"""When keys are fetched, and how long they are good."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from forged_tokens import RsaSigner, token
from interview_agent.adapters.oidc import KeyCache, KeyTimes, SignedTokens
from interview_agent.adapters.oidc.key_set import KeySet, read_key_set
from interview_agent.adapters.oidc.provider import KeysUnavailableError
from interview_agent.domain.errors import InvalidToken, TokenUnchecked

OLD, NEW = RsaSigner("old"), RsaSigner("new")


class Provider:
    """Publishes what it is told to, or nothing; each fetch can be held up."""

    def __init__(self, *signers: RsaSigner) -> None:
        self.signers = signers
        self.is_down = False
        self.fetches = 0
        self.answers = asyncio.Event()
        self.answers.set()

    async def fetch(self) -> KeySet:
        """Answer, late or not at all."""
        self.fetches += 1
        await self.answers.wait()
        if self.is_down:
            raise KeysUnavailableError("down")
        return read_key_set({"keys": [each.jwk() for each in self.signers]}, ["RS256"])


class Clock:
    """Moves by hand."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


class Stand:
    """A cache with its provider and its clock."""

    def __init__(self, *signers: RsaSigner) -> None:
        self.provider = Provider(*signers)
        self.clock = Clock()
        self.outcomes: list[bool] = []
        self.cache = KeyCache(self.provider.fetch, clock=self.clock, on_fetch=self.outcomes.append)
        self.tokens = SignedTokens(self.cache, algorithms=["RS256"])

    async def reads(self, signer: RsaSigner, **header: str) -> bool:
        """Whether a token of this signer is read now."""
        try:
            await self.tokens.claims_of(token(signer, **header))
        except InvalidToken:
            return False
        return True


async def test_keys_are_fetched_once_and_then_known() -> None:
    stand = Stand(OLD)
    for _ in range(100):
        assert await stand.reads(OLD)
        stand.clock.now_s += 60
    assert stand.provider.fetches == 1


async def test_a_new_key_is_picked_up_by_one_fetch() -> None:
    """S33."""
    stand = Stand(OLD)
    assert await stand.reads(OLD)
    stand.clock.now_s += 31
    stand.provider.signers = (OLD, NEW)
    assert await stand.reads(NEW)
    assert await stand.reads(OLD)
    assert stand.provider.fetches == 2


async def test_a_key_that_the_provider_withdrew_is_good_no_longer() -> None:
    stand = Stand(OLD)
    assert await stand.reads(OLD)
    stand.provider.signers = (NEW,)
    stand.clock.now_s += 300
    await stand.cache.refresh()
    assert not await stand.reads(OLD)


async def test_any_number_of_unknown_keys_leads_to_one_fetch_at_most() -> None:
    """S34."""
    stand = Stand(OLD)
    assert await stand.reads(OLD)
    for number in range(50):
        assert not await stand.reads(OLD, kid=f"random-{number}")
    assert stand.provider.fetches == 1
    stand.clock.now_s += 30
    for number in range(50):
        assert not await stand.reads(OLD, kid=f"other-{number}")
    assert stand.provider.fetches == 2
    assert await stand.reads(OLD)


async def test_who_asks_at_the_same_time_shares_one_fetch() -> None:
    stand = Stand(OLD)
    stand.provider.answers.clear()
    asking = [asyncio.create_task(stand.reads(OLD)) for _ in range(200)]
    # None of them has anything to wait for but the fetch.
    await asyncio.sleep(0)
    stand.provider.answers.set()
    assert all(await asyncio.gather(*asking))
    assert stand.provider.fetches == 1


async def test_a_caller_that_goes_away_does_not_end_the_fetch_of_the_others() -> None:
    stand = Stand(OLD)
    stand.provider.answers.clear()
    first, second = (asyncio.create_task(stand.reads(OLD)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    with suppress(asyncio.CancelledError):
        await first
    stand.provider.answers.set()
    assert await second
    assert stand.provider.fetches == 1


async def test_known_keys_go_on_working_for_a_day_while_the_provider_is_down() -> None:
    """S32."""
    stand = Stand(OLD)
    assert await stand.reads(OLD)
    stand.provider.is_down = True
    for _ in range(24):
        await stand.cache.refresh()
        assert await stand.reads(OLD)
        assert not await stand.reads(NEW)
        assert stand.cache.usable
        stand.clock.now_s += 3_600
    stand.clock.now_s += 1
    assert not await stand.reads(OLD)
    assert not stand.cache.usable


async def test_a_token_of_an_unknown_key_is_unchecked_as_long_as_the_provider_is_down() -> None:
    stand = Stand(OLD)
    stand.provider.is_down = True
    for signer in (OLD, NEW):
        with pytest.raises(TokenUnchecked):
            await stand.tokens.claims_of(token(signer))
    stand.provider.is_down = False
    stand.clock.now_s += 31
    with pytest.raises(InvalidToken) as wrong:
        await stand.tokens.claims_of(token(NEW))
    assert wrong.value.refusal == "unknown_key"
    stand.provider.is_down = True
    stand.clock.now_s += 31
    with pytest.raises(TokenUnchecked):
        await stand.tokens.claims_of(token(NEW))
    assert await stand.reads(OLD)


async def test_known_keys_are_used_at_once_while_the_provider_hangs() -> None:
    stand = Stand(OLD)
    assert await stand.reads(OLD)
    stand.clock.now_s += 31
    stand.provider.answers.clear()
    waiting = asyncio.create_task(stand.reads(NEW))
    await asyncio.sleep(0)
    async with asyncio.timeout(1):
        assert await stand.reads(OLD)
    assert not waiting.done()
    stand.provider.answers.set()
    assert not await waiting


async def test_a_provider_that_is_down_at_the_start_is_asked_again_after_a_while() -> None:
    stand = Stand(OLD)
    stand.provider.is_down = True
    assert not await stand.reads(OLD)
    stand.provider.is_down = False
    assert not await stand.reads(OLD)
    assert not stand.cache.usable
    stand.clock.now_s += 30
    assert await stand.reads(OLD)
    assert stand.cache.usable
    assert stand.outcomes == [False, True]


async def test_without_a_key_id_a_provider_with_several_keys_is_not_asked_again() -> None:
    stand = Stand(OLD, NEW)
    assert await stand.reads(OLD)
    stand.clock.now_s += 31
    with pytest.raises(InvalidToken):
        await stand.tokens.claims_of(token(OLD, kid=None))
    assert stand.provider.fetches == 1


async def test_the_loop_keeps_keys_fresh_without_any_request() -> None:
    provider = Provider(OLD)
    times = KeyTimes(cooldown_s=0.01, refresh_s=0.02)
    fetched = asyncio.Semaphore(0)
    cache = KeyCache(provider.fetch, times=times, on_fetch=lambda _: fetched.release())
    running = asyncio.create_task(cache.run())
    try:
        async with asyncio.timeout(5):
            await fetched.acquire()
            provider.is_down = True
            await fetched.acquire()
            provider.is_down, provider.signers = False, (NEW,)
            while await cache.find("old", "RS256") is not None:
                await fetched.acquire()
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def test_closing_ends_a_fetch_that_hangs() -> None:
    stand = Stand(OLD)
    stand.provider.answers.clear()
    asking = asyncio.create_task(stand.cache.refresh())
    await asyncio.sleep(0)
    async with asyncio.timeout(1):
        await stand.cache.aclose()
    await asyncio.gather(asking, return_exceptions=True)
    assert asking.done()
