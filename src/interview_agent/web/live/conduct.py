"""How much misbehaviour a socket may show before it is closed."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from aiohttp import WSCloseCode

from interview_agent.web.live.parting import Parted

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_CONTROLS_PER_S = 20
MOST_ERRORS_PER_MINUTE = 9
MOST_TRESPASSES = 2
MOST_FRAMES_REFUSED = 500
"""Within ten seconds; what was on its way when a gap was reported is far less."""


class Window:
    """Counts what happens within the last `span_s` seconds."""

    def __init__(self, most: int, span_s: float, clock: Callable[[], float]) -> None:
        self._span_s = span_s
        self._clock = clock
        self._times: deque[float] = deque(maxlen=most + 1)

    def passed(self) -> bool:
        """Count one more and say whether it was more than `most` within the span."""
        self._times.append(self._clock())
        is_full = len(self._times) == self._times.maxlen
        return is_full and self._times[-1] - self._times[0] < self._span_s


class Conduct:
    """Judges one client; each method notes one thing and raises `Parted` when it was too much."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._controls = Window(MOST_CONTROLS_PER_S, 1.0, clock)
        self._errors = Window(MOST_ERRORS_PER_MINUTE, 60.0, clock)
        self._frames = Window(MOST_FRAMES_REFUSED, 10.0, clock)
        self._trespasses = 0

    def controlled(self) -> None:
        """Note a control frame, or a message that costs as little to send."""
        if self._controls.passed():
            raise Parted(WSCloseCode.POLICY_VIOLATION, "rate")

    def refused(self) -> None:
        """Note a frame that was not taken."""
        if self._frames.passed():
            raise Parted(WSCloseCode.POLICY_VIOLATION, "rate")

    def erred(self) -> None:
        """Note a message that was refused."""
        if self._errors.passed():
            raise Parted(WSCloseCode.POLICY_VIOLATION, "too many errors")

    def trespassed(self) -> None:
        """Note that a meeting was named which does not exist for this caller."""
        self._trespasses += 1
        if self._trespasses > MOST_TRESPASSES:
            raise Parted(WSCloseCode.POLICY_VIOLATION, "too many meetings of others")
