"""A run of samples that grows at one end and is dropped at the other."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from interview_agent.ports.audio import Samples


class SampleBuffer:
    """Samples `start` to `end` of an endless run. Blocks are kept as they come, not copied."""

    def __init__(self) -> None:
        self.end = 0
        self._blocks: deque[tuple[int, Samples]] = deque()

    @property
    def start(self) -> int:
        """The first sample that is still there."""
        return self._blocks[0][0] if self._blocks else self.end

    def fork(self) -> SampleBuffer:
        """Return a buffer with the same samples that goes its own way."""
        twin = SampleBuffer()
        twin.__dict__.update(end=self.end, _blocks=self._blocks.copy())
        return twin

    def append(self, samples: Samples) -> None:
        """Add samples at the end. They must not be changed later."""
        if samples.size:
            self._blocks.append((self.end, samples))
            self.end += samples.size

    def drop_before(self, sample: int) -> None:
        """Let go of the blocks that end at or before `sample`."""
        while self._blocks and self._blocks[0][0] + self._blocks[0][1].size <= sample:
            self._blocks.popleft()

    def cut(self, start: int, end: int) -> Samples:
        """Return samples `start` to `end`, both of which are still there."""
        found = [
            block[max(0, start - at) : max(0, end - at)]
            for at, block in self._blocks
            if at < end and at + block.size > start
        ]
        return np.concatenate(found) if found else np.empty(0, np.float32)
