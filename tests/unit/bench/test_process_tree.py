"""CPU time of a family of processes, also of those that have ended."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import TYPE_CHECKING

import pytest

from captions.process_tree import ProcessTree, Usage, UsageLog

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

BURN = "import time\nwhile time.process_time() < 0.35: pass\n"
CHILD_THAT_IS_WAITED_FOR = f"""
import subprocess, sys
print("up", flush=True)
input()
subprocess.run([sys.executable, "-c", {BURN!r}])
print("ended", flush=True)
input()
"""
LEAF = f"""
import os, time
parent = os.getppid()
print("born", flush=True)
while os.getppid() == parent: time.sleep(0.01)
{BURN}
print("burnt", flush=True)
input()
"""
CHILD_THAT_OUTLIVES_ITS_PARENT = f"""
import subprocess, sys, time
middle = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', sys.argv[1]]); input()"
subprocess.run([sys.executable, "-c", middle, {LEAF!r}])
time.sleep(60)
"""


@contextlib.asynccontextmanager
async def running(program: str) -> AsyncIterator[asyncio.subprocess.Process]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdin=pipe, stdout=pipe
    )
    try:
        yield process
    finally:
        process.kill()
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


async def line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(30):
        return (await process.stdout.readline()).decode().strip()


async def answer(process: asyncio.subprocess.Process) -> None:
    assert process.stdin is not None
    process.stdin.write(b"\n")
    await process.stdin.drain()


async def sampled_until(tree: ProcessTree, check: Callable[[Usage], bool]) -> Usage:
    async with asyncio.timeout(30):
        while True:
            usage = tree.sample()
            if check(usage):
                return usage
            await asyncio.sleep(0.02)


async def test_a_child_that_ended_counts_once() -> None:
    async with running(CHILD_THAT_IS_WAITED_FOR) as process:
        tree = ProcessTree(process.pid)
        assert await line(process) == "up"
        began = tree.sample()
        await answer(process)
        assert await line(process) == "ended"
        after = tree.sample()
        assert 0.3 <= after.cpu_s - began.cpu_s < 0.6
        assert tree.sample().cpu_s == pytest.approx(after.cpu_s, abs=0.05)


async def test_a_process_that_outlives_its_parent_counts_alive_and_ended() -> None:
    async with running(CHILD_THAT_OUTLIVES_ITS_PARENT) as process:
        tree = ProcessTree(process.pid)
        assert await line(process) == "born"
        before = tree.sample().cpu_s
        await answer(process)
        assert await line(process) == "burnt"
        burnt = tree.sample()
        assert burnt.cpu_s - before >= 0.25
        await answer(process)
        ended = await sampled_until(tree, lambda now: now.memory_mb < burnt.memory_mb * 0.8)
        assert ended.cpu_s >= burnt.cpu_s


async def test_memory_counts_shared_pages_once_and_resident_memory_in_every_process() -> None:
    async with running(CHILD_THAT_IS_WAITED_FOR) as process:
        usage = await sampled_until(ProcessTree(process.pid), lambda each: each.memory_mb > 4)
        assert usage.memory_mb < usage.resident_mb


def test_cpu_time_between_two_moments_lies_on_the_line_between_samples() -> None:
    log = UsageLog(ProcessTree(0), [Usage(10.0, 1.0, 5, 9), Usage(12.0, 3.0, 7, 8)])
    assert log.cpu_s(10.5, 11.5) == pytest.approx(1.0)
    assert log.cpu_s(0.0, 99.0) == pytest.approx(2.0)


def test_a_peak_is_that_of_its_time() -> None:
    log = UsageLog(ProcessTree(0), [Usage(10.0, 1.0, 5, 9), Usage(12.0, 3.0, 7, 8)])
    assert (log.peak_mb(), log.peak_mb(to_s=11.0), log.resident_peak_mb()) == (7, 5, 9)
