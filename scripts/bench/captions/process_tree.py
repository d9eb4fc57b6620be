"""CPU time and memory of a process and all that it started, from /proc."""

from __future__ import annotations

import asyncio
import math
import os
import time
from bisect import bisect_right
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PROC = Path("/proc")
PERIOD_S = 0.5
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
MIB = 2**20


@dataclass(frozen=True, slots=True)
class Process:
    """What /proc says of one process.

    `own_s` are its CPU seconds, `children_s` those of the children that it has waited for.
    """

    parent: int
    born: int
    own_s: float
    children_s: float
    resident_mb: float


@dataclass(frozen=True, slots=True)
class Usage:
    """A tree of processes at `at_s` of the monotonic clock.

    `memory_mb` counts pages that several processes share once, `resident_mb` in each of them.
    """

    at_s: float
    cpu_s: float
    memory_mb: float
    resident_mb: float


@dataclass
class ProcessTree:
    """Follows a process and its descendants, those too that end or lose their parent.

    A child that ends goes on counting in its parent, which waits for it; one that has outlived its
    parent is remembered as it was last seen.
    """

    root: int
    _seen: dict[int, Process] = field(default_factory=dict)
    _lost_s: float = 0.0

    def sample(self) -> Usage:
        """Read /proc once."""
        processes = _all_processes()
        family = self._family(processes)
        for pid, was in self._seen.items():
            if pid not in family and not self._was_waited_for(was, family):
                self._lost_s += was.own_s + was.children_s
        self._seen = family
        cpu_s = sum(each.own_s + each.children_s for each in family.values())
        return Usage(
            at_s=time.monotonic(),
            cpu_s=cpu_s + self._lost_s,
            memory_mb=sum(_proportional_mb(pid, each) for pid, each in family.items()),
            resident_mb=sum(each.resident_mb for each in family.values()),
        )

    def _was_waited_for(self, was: Process, family: dict[int, Process]) -> bool:
        """Say whether an ancestor that lives has the time of a process that ended."""
        while was.parent in self._seen:
            if was.parent in family:
                return True
            was = self._seen[was.parent]
        return False

    def _family(self, processes: dict[int, Process]) -> dict[int, Process]:
        family = {
            pid: each
            for pid, each in processes.items()
            if pid == self.root or (pid in self._seen and self._seen[pid].born == each.born)
        }
        grown = True
        while grown:
            new = {
                pid: each
                for pid, each in processes.items()
                if pid not in family and each.parent in family
            }
            family |= new
            grown = bool(new)
        return family


@dataclass
class UsageLog:
    """The usage of a tree, read twice a second while `run` runs."""

    tree: ProcessTree
    samples: list[Usage] = field(default_factory=list)

    async def run(self) -> None:
        """Sample until cancelled."""
        while True:
            self.samples.append(await asyncio.to_thread(self.tree.sample))
            await asyncio.sleep(PERIOD_S)

    def cpu_s(self, from_s: float, to_s: float) -> float:
        """Return the CPU seconds between two moments of the monotonic clock."""
        return self._cpu_at(to_s) - self._cpu_at(from_s)

    def peak_mb(self, from_s: float = 0.0, to_s: float = math.inf) -> float:
        """Return the most memory at once, shared pages counted once."""
        return max((s.memory_mb for s in self.samples if from_s <= s.at_s <= to_s), default=0.0)

    def resident_peak_mb(self) -> float:
        """Return the greatest sum of resident memory, shared pages counted in every process."""
        return max((each.resident_mb for each in self.samples), default=0.0)

    def _cpu_at(self, at_s: float) -> float:
        """Return the CPU seconds at a moment, on the line between the samples around it."""
        place = bisect_right([each.at_s for each in self.samples], at_s)
        if place == 0:
            return self.samples[0].cpu_s
        if place == len(self.samples):
            return self.samples[-1].cpu_s
        one, other = self.samples[place - 1], self.samples[place]
        part = (at_s - one.at_s) / (other.at_s - one.at_s)
        return one.cpu_s + part * (other.cpu_s - one.cpu_s)


def machine_busy_s() -> float:
    """Return the CPU seconds that all cores have worked since the machine started."""
    fields = (PROC / "stat").read_text().split("\n", 1)[0].split()[1:]
    user, nice, system, _idle, _iowait, irq, softirq = map(int, fields[:7])
    return (user + nice + system + irq + softirq) / _TICKS


@dataclass(slots=True)
class Part:
    """A part of a run: how long it took, and how many cores everybody else used meanwhile."""

    name: str
    took_s: float = 0.0
    others_cores: float = 0.0

    def __str__(self) -> str:
        return (
            f"  {self.name:34} {self.took_s:6.1f} s, others used "
            f"{self.others_cores:.2f} of {os.cpu_count()} cores"
        )


@contextmanager
def measured_part(name: str) -> Iterator[Part]:
    """Measure what happens inside; the figures are there when it has ended."""
    family, part = ProcessTree(os.getpid()), Part(name)
    before, busy_s = family.sample(), machine_busy_s()
    yield part
    after = family.sample()
    part.took_s = after.at_s - before.at_s
    others_s = machine_busy_s() - busy_s - (after.cpu_s - before.cpu_s)
    part.others_cores = max(0.0, others_s / part.took_s)


def _all_processes() -> dict[int, Process]:
    found = {}
    for entry in PROC.iterdir():
        if entry.name.isdecimal():
            process = _read(entry)
            if process is not None:
                found[int(entry.name)] = process
    return found


def _read(entry: Path) -> Process | None:
    """Return None for a process that ended meanwhile."""
    try:
        # The name, in brackets, may hold anything.
        fields = (entry / "stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return Process(
        parent=int(fields[1]),
        born=int(fields[19]),
        own_s=(int(fields[11]) + int(fields[12])) / _TICKS,
        children_s=(int(fields[13]) + int(fields[14])) / _TICKS,
        resident_mb=int(fields[21]) * _PAGE_BYTES / MIB,
    )


def _proportional_mb(pid: int, process: Process) -> float:
    """Return the memory with each shared page divided among those who share it."""
    try:
        for line in (PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    except OSError:
        return process.resident_mb
    return 0.0
