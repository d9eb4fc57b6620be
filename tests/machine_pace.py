"""How busy the machine is while a test runs, so that a bound of time means the same on all."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

SAMPLE_S = 0.02
"""Processor time of one sample."""

INTERVAL_S = 0.5
MOST = 6.0
"""A machine that is busier than this keeps no promise that is worth a test."""


class Pace:
    """Samples, from a thread of its own, how long a fixed amount of work takes."""

    def __init__(self) -> None:
        self._worst = 1.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="pace", daemon=True)

    def __enter__(self) -> Pace:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def slowed(self, limit_s: float) -> float:
        """Return the bound that `limit_s` of an idle machine is on this one.

        It is longer by the factor by which work took longer, at worst since the test began, than
        the processor time in it; by `MOST` at most.
        """
        return limit_s * min(self._worst, MOST)

    def _watch(self) -> None:
        while not self._ended.wait(INTERVAL_S):
            self._worst = max(self._worst, _stretch())


def _stretch() -> float:
    began_s, began_cpu_s = time.perf_counter(), time.thread_time()
    while (used_s := time.thread_time() - began_cpu_s) < SAMPLE_S:
        sum(range(1000))
    return (time.perf_counter() - began_s) / used_s


@pytest.fixture
def pace() -> Iterator[Pace]:
    """What a bound of time is to be multiplied by."""
    with Pace() as measured:
        yield measured
