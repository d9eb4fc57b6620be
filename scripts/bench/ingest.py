"""Measures how audio is taken in, every chunk durable before its ack, speech to text stubbed.

Chunks of 32 kB come over WebSockets, one a second each, and over HTTP, on a fixed schedule; latency
counts from the scheduled moment. The baseline is the floor of the work itself: a file, its fsync
and one INSERT a chunk, measured in the same run. The last line printed is one JSON object. Takes
less than 10 minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import resource
import secrets
import shutil
import statistics
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from captions.process_tree import measured_part
from intake.figures import Findings, Flood, Measured, find_knee, headline, normal_bound_ms
from intake.floor import FloorLoad, FloorResult, write
from intake.load import CHUNK_BYTES, Load, Outcome
from intake.report import report
from intake.service import Service, running_service

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).resolve().parent
CALLERS = 32
STREAMS = 200
ACTIVE, LISTENERS = 50, 500
PACED_PART = 0.7
"""Of what was acknowledged at most, for the latency of requests on a schedule."""
FLOOD_CONNECTIONS = 1_200
"""More than the service takes from one address."""
FLOOD_TIMES, FLOOD_LEAST_PER_S, FLOOD_MOST_PER_S = 3.0, 400.0, 3_000.0
NORMAL_PER_S, NORMAL_CONNECTIONS = 20.0, 8
SYNCS = 40


@dataclass(frozen=True)
class Lengths:
    """How long the parts take, in seconds."""

    floor: float = 10.0
    saturated: float = 20.0
    paced: float = 20.0
    streams: float = 60.0
    step: float = 12.0
    ramp: float = 180.0
    listened: float = 30.0
    before_flood: float = 5.0
    flood: float = 12.0
    after_flood: float = 18.0


QUICK = Lengths(
    floor=3, saturated=6, paced=6, streams=12, step=5, ramp=35, listened=10, before_flood=3,
    flood=6, after_flood=12,
)  # fmt: skip


class BenchFailed(Exception):
    """A part of the benchmark itself did not work."""


@dataclass
class Bench:
    """One run of the benchmark in a folder of its own."""

    lengths: Lengths
    folder: Path
    last_line_only: bool
    findings: Findings = field(default_factory=Findings)
    began_s: float = field(default_factory=time.monotonic)

    def say(self, text: str) -> None:
        """Print a line for people."""
        if not self.last_line_only:
            print(text, flush=True)

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Say how long a part took and how much of the machine everybody else took meanwhile."""
        with measured_part(name) as part:
            yield
        self.findings.others_cores[name] = part.others_cores
        self.say(str(part))

    async def run(self) -> None:
        """Measure everything and print it."""
        load_before = os.getloadavg()
        self.say(f"{os.cpu_count()} cores, load {load_before[0]:.2f}; files in {self.folder}")
        self.findings.sync_ms = await asyncio.to_thread(sync_ms, self.folder)
        async with running_service(self.folder) as service:
            await self._measure_requests(service)
            await self._measure_streams(service)
            await self._measure_listening(service)
            await self._measure_flood(service)
        figures = headline(self.findings)
        load = ", ".join(f"{each:.2f}" for each in (*load_before, *os.getloadavg()))
        self.say(report(self.findings, figures))
        self.say(f"\nload before and after: {load}; took {time.monotonic() - self.began_s:.0f} s")
        print(json.dumps(figures))

    async def _measure_requests(self, service: Service) -> None:
        lengths, findings = self.lengths, self.findings
        findings.floors.append(await self._floor(service, durable=True))
        findings.careless = await self._floor(service, durable=False)
        findings.saturated = await self._load(
            f"HTTP, {CALLERS} callers", service, Load("uploads", CALLERS, lengths.saturated)
        )
        findings.floors.append(await self._floor(service, durable=True))
        per_s = PACED_PART * findings.saturated.outcome.acked_per_s
        findings.paced = await self._load(
            f"HTTP, {per_s:.0f} a second",
            service,
            Load("uploads", CALLERS, lengths.paced, per_s=per_s),
        )

    async def _measure_streams(self, service: Service) -> None:
        self.findings.streams = await self._load(
            f"{STREAMS} streams", service, Load("streams", STREAMS, self.lengths.streams)
        )
        ends_s = time.monotonic() + self.lengths.ramp

        async def holds(count: int) -> bool:
            step = await self._load(
                f"ramp, {count} streams", service, Load("streams", count, self.lengths.step)
            )
            self.findings.ramp.append(step)
            return step.holds

        self.findings.streams_knee = await find_knee(
            holds, lambda: time.monotonic() < ends_s or not self.findings.ramp
        )

    async def _measure_listening(self, service: Service) -> None:
        load = Load("streams", ACTIVE, self.lengths.listened, listeners=LISTENERS, awaits_text=True)
        self.findings.listened = await self._load(
            f"{ACTIVE} streams, {LISTENERS} idle", service, load
        )

    async def _measure_flood(self, service: Service) -> None:
        """Send normal requests all the while, and a flood beside them for a part of it."""
        lengths, saturated = self.lengths, self.findings.saturated
        if saturated is None:
            return
        flood_load = Load("uploads", FLOOD_CONNECTIONS, lengths.flood)
        per_s = FLOOD_TIMES * saturated.outcome.acked_per_s
        per_s = min(max(per_s, FLOOD_LEAST_PER_S), FLOOD_MOST_PER_S)
        normal = asyncio.create_task(
            self._send(
                service,
                Load(
                    "uploads",
                    NORMAL_CONNECTIONS,
                    lengths.before_flood + lengths.flood + flood_load.drain_s + lengths.after_flood,
                    per_s=NORMAL_PER_S,
                ),
            )
        )
        await asyncio.sleep(lengths.before_flood)
        flood = await self._load("flood", service, replace(flood_load, per_s=per_s))
        outcome = await normal
        self.findings.flood = Flood(
            flood, outcome, normal_bound_ms(outcome.acks, flood.outcome.began_s)
        )

    async def _load(self, name: str, service: Service, load: Load) -> Measured:
        """Send a load and watch what it costs."""
        await service.settle()
        with self.part(name):
            async with service.watched() as watch:
                outcome = await self._send(service, load)
        return Measured(name, outcome, watch)

    async def _send(self, service: Service, load: Load) -> Outcome:
        load = replace(
            load, address=service.address, key=service.key, prefix=f"bench-{secrets.token_hex(4)}"
        )
        await service.start_meetings(set(load.quiet))
        return Outcome.from_json(await self._process("intake.sender", load.to_json()))

    async def _floor(self, service: Service, *, durable: bool) -> FloorResult:
        folder = self.folder / "floor"
        folder.mkdir(exist_ok=True)
        load = FloorLoad(service.dsn, str(folder), CALLERS, self.lengths.floor, durable)
        with self.part("floor" if durable else "floor, not durable"):
            answer = await self._process("intake.floor", json.dumps(asdict(load)))
        await asyncio.to_thread(shutil.rmtree, folder)
        return FloorResult(**json.loads(answer))

    async def _process(self, module: str, asked: str) -> str:
        """Run a module of the benchmark as a process of its own and return what it prints."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", module),
            cwd=HERE,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        answer, _ = await process.communicate(asked.encode() + b"\n")
        if process.returncode != 0:
            message = f"{module} ended with code {process.returncode}"
            raise BenchFailed(message)
        return answer.decode()


def sync_ms(folder: Path) -> float:
    """Return the median time that a bare fsync of a chunk takes, in ms."""
    body = os.urandom(CHUNK_BYTES)
    took_ms = []
    for number in range(SYNCS):
        path = folder / f"sync-{number}"
        began_s = time.monotonic()
        write(path, body, durable=True)
        took_ms.append((time.monotonic() - began_s) * 1000)
        path.unlink()
    return statistics.median(took_ms)


def options_of(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="short parts: about 3 minutes")
    parser.add_argument("--json", action="store_true", help="print nothing but the last line")
    parser.add_argument("--folder", type=Path, help="where the disk to be measured is mounted")
    return parser.parse_args(arguments)


def main() -> None:
    """Run the benchmark in a folder of its own, which is removed afterwards."""
    options = options_of()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    folder = Path(tempfile.mkdtemp(prefix="bench-ingest-", dir=options.folder))
    bench = Bench(QUICK if options.quick else Lengths(), folder, options.json)
    try:
        asyncio.run(bench.run())
    except BenchFailed as error:
        sys.exit(f"bench-ingest: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
