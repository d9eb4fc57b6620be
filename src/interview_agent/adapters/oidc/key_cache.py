"""The keys of a provider as they are known here: fetched rarely, used at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from interview_agent.adapters.oidc.key_set import KeySet
from interview_agent.adapters.oidc.provider import KeysUnavailableError

if TYPE_CHECKING:
    from interview_agent.adapters.oidc.signatures import VerificationKey

Fetch = Callable[[], Awaitable[KeySet]]

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class KeyTimes:
    """When keys are fetched, in seconds.

    `cooldown_s`: least time between two fetches, whoever asks. `refresh_s`: between fetches while
    all is well. `keep_s`: how long keys go on working while the provider gives none.
    """

    cooldown_s: float = 30.0
    refresh_s: float = 300.0
    keep_s: float = 86_400.0


class KeyCache:
    """Answers from memory; an unknown key id leads to one fetch at most per cooldown.

    `fetch` gives the keys or raises `KeysUnavailableError`, in bounded time. `on_fetch` is told
    whether a fetch succeeded.
    """

    def __init__(
        self,
        fetch: Fetch,
        *,
        times: KeyTimes | None = None,
        clock: Callable[[], float] = time.monotonic,
        on_fetch: Callable[[bool], None] = lambda _: None,
    ) -> None:
        self._fetch = fetch
        self._times = times or KeyTimes()
        self._clock = clock
        self._on_fetch = on_fetch
        self._keys = KeySet()
        self._fetched_at = self._tried_at = float("-inf")
        self._fetching: asyncio.Task[None] | None = None

    @property
    def usable(self) -> bool:
        """Whether there are keys, and not too old ones."""
        return self._clock() - self._fetched_at <= self._times.keep_s

    @property
    def current(self) -> bool:
        """Whether there are keys, and the last try to fetch them succeeded."""
        return self.usable and self._fetched_at >= self._tried_at

    async def find(self, kid: str | None, algorithm: str) -> VerificationKey | None:
        """Return the key of an algorithm by its id, or the only one; None if there is none."""
        key = self._known(kid, algorithm)
        if key is None and (kid is not None or not self.usable):
            await self.refresh()
            key = self._known(kid, algorithm)
        return key

    async def refresh(self) -> None:
        """Fetch the keys, unless that was tried just now; who asks meanwhile shares the fetch."""
        if self._fetching is None:
            if self._clock() - self._tried_at < self._times.cooldown_s:
                return
            self._tried_at = self._clock()
            self._fetching = asyncio.create_task(self._renew())
        # A caller that goes away must not take the keys from the others.
        await asyncio.shield(self._fetching)

    async def run(self) -> None:
        """Keep the keys fresh, so that no request has to wait for those that are known."""
        while True:
            await self.refresh()
            is_late = self._fetched_at < self._tried_at
            await asyncio.sleep(self._times.cooldown_s if is_late else self._times.refresh_s)

    async def aclose(self) -> None:
        """End a fetch that runs."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.gather(self._fetching, return_exceptions=True)

    def _known(self, kid: str | None, algorithm: str) -> VerificationKey | None:
        return self._keys.find(kid, algorithm) if self.usable else None

    async def _renew(self) -> None:
        succeeded = False
        try:
            self._keys = await self._fetch()
            self._fetched_at = self._clock()
            succeeded = True
        except KeysUnavailableError as error:
            _log.warning("signing_keys_unavailable", reason=str(error))
        finally:
            self._fetching = None
            self._on_fetch(succeeded)
