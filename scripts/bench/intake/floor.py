"""The floor of the work itself, in a process of its own: a file, its fsync, and one row a chunk.

Nothing is checked, numbered, named safely or told to anybody. Reads a `FloorLoad` from its standard
input, one line of JSON, and prints a `FloorResult`.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import resource
import secrets
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg

from captions.delays import percentile
from intake.load import CHUNK_BYTES

_TABLE = (
    "CREATE TABLE IF NOT EXISTS floor_chunks (run text, seq int, path text, size_bytes int,"
    " at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (run, seq))"
)
_INSERT = "INSERT INTO floor_chunks (run, seq, path, size_bytes) VALUES ($1, $2, $3, $4)"


@dataclass(frozen=True, slots=True)
class FloorLoad:
    """`callers` write one chunk after another below `folder`, each with a connection of its own.

    Without `durable` nothing waits for the disk: no fsync, and commits return before their log is
    written.
    """

    dsn: str
    folder: str
    callers: int
    seconds: float
    durable: bool


@dataclass(frozen=True, slots=True)
class FloorResult:
    """What a floor came to; `cpu_s` is that of its process, without PostgreSQL."""

    written: int
    took_s: float
    cpu_s: float
    p50_ms: float | None
    p99_ms: float | None

    @property
    def per_s(self) -> float:
        """Chunks a second."""
        return self.written / self.took_s


def write(path: Path, body: bytes, *, durable: bool) -> None:
    """Write a new file, and sync it where that is asked for."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, body)
        if durable:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


async def measure(load: FloorLoad) -> FloorResult:
    """Write for as long as the load says."""
    run, body = secrets.token_hex(4), os.urandom(CHUNK_BYTES)
    folder = Path(load.folder) / run
    folder.mkdir()
    settings = {} if load.durable else {"synchronous_commit": "off"}
    loop = asyncio.get_running_loop()
    pool = asyncpg.create_pool(
        load.dsn, min_size=load.callers, max_size=load.callers, server_settings=settings
    )
    took_ms: list[float] = []
    with ThreadPoolExecutor(load.callers) as threads:
        async with pool:
            await pool.execute(_TABLE)
            begin_s = time.monotonic()

            async def write_on(connection: Any) -> None:
                while (at_s := time.monotonic()) < begin_s + load.seconds:
                    seq = next(numbers)
                    path = folder / f"{seq}.bin"
                    await loop.run_in_executor(
                        threads, partial(write, path, body, durable=load.durable)
                    )
                    await connection.execute(_INSERT, run, seq, path.name, len(body))
                    took_ms.append((time.monotonic() - at_s) * 1000)

            numbers = itertools.count()
            connections = [await pool.acquire() for _ in range(load.callers)]
            await asyncio.gather(*map(write_on, connections))
            took_s = time.monotonic() - begin_s
            for each in connections:
                await pool.release(each)
    used = resource.getrusage(resource.RUSAGE_SELF)
    return FloorResult(
        len(took_ms),
        took_s,
        used.ru_utime + used.ru_stime,
        percentile(took_ms, 50),
        percentile(took_ms, 99),
    )


def main() -> None:
    """Measure what standard input asks for."""
    result = asyncio.run(measure(FloorLoad(**json.loads(sys.stdin.readline()))))
    print(json.dumps(asdict(result)))


if __name__ == "__main__":
    main()
