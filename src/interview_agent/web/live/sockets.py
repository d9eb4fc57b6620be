"""The open sockets of this process: counted, bounded, and closed together."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

from aiohttp import web

from interview_agent.domain.errors import Backpressure, Stopping
from interview_agent.domain.identity import Kind
from interview_agent.metrics import SOCKETS_OPEN, Metrics

if TYPE_CHECKING:
    from collections.abc import Iterator

_ASK_AGAIN_S = 5


class LiveSockets:
    """Knows how many sockets are open, and makes them leave."""

    def __init__(self, max_sockets: int, metrics: Metrics) -> None:
        self._max_sockets = max_sockets
        self._metrics = metrics
        self._open: Counter[Kind] = Counter()
        self._all_left = asyncio.Event()
        self._all_left.set()
        self.leaving = asyncio.Event()
        """Set once this process stops: every socket says what it owes and closes."""
        for contour in Kind:
            metrics.set(SOCKETS_OPEN, 0, contour=contour.value)

    @contextmanager
    def place(self, contour: Kind) -> Iterator[None]:
        """Hold a place for one socket. Raises `Backpressure`."""
        if self.leaving.is_set():
            raise Stopping
        if self._open.total() >= self._max_sockets:
            message = "as many sockets are open as this process holds"
            raise Backpressure(message, retry_after_s=_ASK_AGAIN_S)
        self._count(contour, 1)
        try:
            yield
        finally:
            self._count(contour, -1)

    async def close(self) -> None:
        """Make every socket leave and wait until the last one is gone; no new one gets in."""
        self.leaving.set()
        await self._all_left.wait()

    def _count(self, contour: Kind, change: int) -> None:
        self._open[contour] += change
        self._metrics.set(SOCKETS_OPEN, self._open[contour], contour=contour.value)
        if self._open.total():
            self._all_left.clear()
        else:
            self._all_left.set()


SOCKETS = web.AppKey("SOCKETS", LiveSockets)
