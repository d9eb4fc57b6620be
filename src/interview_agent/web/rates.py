"""How much one caller may ask of this process: rates, and what it holds open at once."""

from __future__ import annotations

import math
import time
from collections import Counter, OrderedDict
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from interview_agent.domain.errors import RateLimited

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MOST_REMEMBERED = 10_000
"""Callers whose recent past is known; beyond them the longest silent one is forgotten."""

_BURST_S = 2.0
RETRY_PLACE_S = 10
"""When to try again where no place was free."""


@dataclass(frozen=True, slots=True)
class RateLimits:
    """The bounds of one process; `held` counts sockets and event streams."""

    requests_per_s_of_address: float = 1000.0
    requests_per_s_of_identity: float = 1000.0
    bad_credentials_per_minute: float = 100.0
    held_by_identity: int = 600
    held_by_address: int = 600


class Buckets:
    """Token buckets: `per_s` tokens a second for each key, up to `most`; `clock` gives seconds."""

    def __init__(self, per_s: float, most: float, *, clock: Callable[[], float]) -> None:
        self._per_s = per_s
        self._most = most
        self._clock = clock
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._levels)

    def wait_s(self, key: str) -> float:
        """Return after how many seconds a token is there; 0 when one is now."""
        return self._lacks_s(self._level(key))

    def take(self, key: str) -> float:
        """Take a token if one is there; return what `wait_s` would have."""
        level = self._level(key)
        wait_s = self._lacks_s(level)
        if not wait_s:
            level -= 1.0
        self._levels[key] = (level, self._clock())
        self._levels.move_to_end(key)
        if len(self._levels) > MOST_REMEMBERED:
            self._levels.popitem(last=False)
        return wait_s

    def _lacks_s(self, level: float) -> float:
        return max(0.0, (1.0 - level) / self._per_s)

    def _level(self, key: str) -> float:
        level, at = self._levels.get(key, (self._most, 0.0))
        return min(self._most, level + (self._clock() - at) * self._per_s)


class Places:
    """Counts what each key holds open at once, `most` of them."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: Counter[str] = Counter()

    def enter(self, key: str) -> bool:
        """Hold one more, to be given back by `leave`; false when there is no place."""
        if self._held[key] >= self._most:
            return False
        self._held[key] += 1
        return True

    def leave(self, key: str) -> None:
        """Give a place back."""
        self._held[key] -= 1
        if not self._held[key]:
            del self._held[key]

    @contextmanager
    def hold(self, key: str) -> Iterator[None]:
        """Hold one more for a while. Raises `RateLimited`."""
        if not self.enter(key):
            message = "as many connections are open as one caller may have"
            raise RateLimited(message, retry_after_s=RETRY_PLACE_S)
        try:
            yield
        finally:
            self.leave(key)


def _check(wait_s: float) -> None:
    if wait_s > 0:
        raise RateLimited(retry_after_s=math.ceil(wait_s))


class Rates:
    """All limits of one process; each method raises `RateLimited`, and costs no input or output."""

    def __init__(self, limits: RateLimits, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._addresses = _in_a_burst(limits.requests_per_s_of_address, clock)
        self._identities = _in_a_burst(limits.requests_per_s_of_identity, clock)
        guesses = limits.bad_credentials_per_minute
        self._guesses = Buckets(guesses / 60, guesses, clock=clock)
        self._by_identity = Places(limits.held_by_identity)
        self._by_address = Places(limits.held_by_address)

    def asked_from(self, address: str) -> None:
        """Count a request from an address."""
        _check(self._addresses.take(address))

    def asked_by(self, identity: str) -> None:
        """Count a request of an identity."""
        _check(self._identities.take(identity))

    def check_guesses(self, address: str) -> None:
        """Refuse to look at any credential from an address that showed too many bad ones.

        A good one is refused as well: else whoever guesses would learn that it is good.
        """
        _check(self._guesses.wait_s(address))

    def guessed(self, address: str) -> None:
        """Note a bad credential."""
        self._guesses.take(address)

    @contextmanager
    def holding(self, identity: str, address: str) -> Iterator[None]:
        """Hold a place for one socket or event stream."""
        with self._by_address.hold(address), self._by_identity.hold(identity):
            yield


def _in_a_burst(per_s: float, clock: Callable[[], float]) -> Buckets:
    return Buckets(per_s, per_s * _BURST_S, clock=clock)
