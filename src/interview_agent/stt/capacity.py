"""How many live streams the threads of a process can caption, from what they cost so far."""

from __future__ import annotations

_FULL = 0.85
"""Part of the threads' time that captions may take; the rest is for bursts and recordings."""
_MEMORY = 0.9
"""Weight of what was measured before, at every new measurement."""
_LEAST_OF_ESTIMATE = 0.5
"""Streams that happen to be silent must not make others look cheaper than this."""


class CapacityGauge:
    """Estimates the streams that `threads` threads can caption.

    `stream_load` is what one stream is expected to need before anything was measured: thread
    seconds for a second of conversation.
    """

    def __init__(self, threads: int, stream_load: float) -> None:
        self._threads = threads
        self._expected = self._load = stream_load
        self._busy_s = 0.0

    def measure(self, busy_s: float, elapsed_s: float, streams: int) -> None:
        """Take in how long the threads were busy with captions until now, all together."""
        spent_s, self._busy_s = busy_s - self._busy_s, busy_s
        if streams > 0 and elapsed_s > 0:
            load = max(spent_s / elapsed_s / streams, self._expected * _LEAST_OF_ESTIMATE)
            self._load = _MEMORY * self._load + (1 - _MEMORY) * load

    @property
    def streams(self) -> float:
        """Streams that can be captioned at once."""
        return self._threads * _FULL / self._load
