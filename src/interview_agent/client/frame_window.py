"""What has been said and is not yet known to be durable."""

from __future__ import annotations

from collections import deque
from itertools import islice

from interview_agent.domain.errors import ConnectionLost, Refused


class FrameWindow:
    """Keeps every frame until it is acknowledged, under a number that grows by one.

    It is full at `limit_bytes`; one frame more may be in it, so that no frame is too large for it.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._frames: deque[bytes] = deque()
        self._size_bytes = 0
        self._first = 0
        self._sent = 0

    @property
    def first(self) -> int:
        """Number of the oldest frame that is not acknowledged, or of the next one."""
        return self._first

    @property
    def next_number(self) -> int:
        """Number of the next frame that is appended."""
        return self._first + len(self._frames)

    @property
    def is_empty(self) -> bool:
        """Say whether every frame is acknowledged."""
        return not self._frames

    @property
    def is_full(self) -> bool:
        """Say whether the source has to wait."""
        return self._size_bytes >= self._limit_bytes

    def begin(self, next_frame: int) -> None:
        """Take the number that the service expects first; nothing was sent before."""
        self._first = next_frame

    def append(self, audio: bytes) -> None:
        """Keep one more frame."""
        self._frames.append(audio)
        self._size_bytes += len(audio)

    def take_due(self, max_in_flight: int) -> tuple[int, bytes] | None:
        """Return the next frame to be sent with its number, None while nothing may be sent."""
        if self._sent >= min(len(self._frames), max_in_flight):
            return None
        self._sent += 1
        return self._first + self._sent - 1, self._frames[self._sent - 1]

    def acknowledge(self, first_frame: int, last_frame: int) -> None:
        """Forget frames that are durable; raises `ConnectionLost` when the ack is not in turn.

        Then only the service can say what is durable, which it does at the next connection.
        """
        if first_frame != self._first or not 0 < last_frame - first_frame + 1 <= self._sent:
            message = (
                f"frames {first_frame} to {last_frame} were acknowledged, "
                f"of {self._sent} sent from {self._first}"
            )
            raise ConnectionLost(message)
        self._forget(last_frame + 1)

    def resume(self, next_frame: int) -> None:
        """Forget what is durable by the word of the service, and send the rest again.

        Raises `Refused` when its word contradicts what was acknowledged or sent.
        """
        if next_frame < self._first:
            message = f"the service has lost frames {next_frame} to {self._first - 1}"
            raise Refused(message)
        if next_frame > self._first + self._sent:
            message = "another client has sent audio on this track meanwhile"
            raise Refused(message)
        self._forget(next_frame)
        self._sent = 0

    def _forget(self, next_frame: int) -> None:
        count = next_frame - self._first
        self._size_bytes -= sum(map(len, islice(self._frames, count)))
        for _ in range(count):
            self._frames.popleft()
        self._first = next_frame
        self._sent -= count
