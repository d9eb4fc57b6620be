"""Let an API and two workers share one folder, kill a worker in the middle, and miss nothing.

First three processes of their own write, read and delete in the folder, each the file of another.
With `--shared-dir` all this happens in a folder of its own below that one, such as a mounted share.
Exits 0 only if every chunk that was acknowledged is stored and was heard exactly once.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from fault_driver import Driver
from fault_oracle import judge, settled, temporaries
from fault_servers import OwnServers
from interview_agent.adapters.local_fs import LocalFsBlobStore
from interview_agent.domain.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Sequence

STEPS = ("write", "read", "delete")
KEY = "smoke/failover.bin"
BODY = b"failover-ok"
CHUNKS = 120
MEETINGS = [f"smoke-{number}" for number in range(6)]


async def step(name: str, folder: Path) -> None:
    """Do one step of the probe in this process."""
    blobs = LocalFsBlobStore(folder)
    try:
        await blobs.prepare()
        if name == "write":
            await blobs.put(KEY, BODY)
            return
        with await blobs.open(KEY) as file:
            if file.read() != BODY:
                sys.exit("the other process wrote something else")
        if name == "delete":
            await blobs.delete([KEY])
            try:
                (await blobs.open(KEY)).close()
            except NotFound:
                return
            sys.exit("the file is still there")
    finally:
        await blobs.aclose()


async def probe(folder: Path) -> None:
    """Let a process of its own do each step."""
    for name in STEPS:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, __file__, "--step", name, "--shared-dir", str(folder))
        )
        if await process.wait() != 0:
            sys.exit(f"the step {name} failed in {folder}")
        print(f"probe: process {process.pid} did {name}", flush=True)


async def fail_over(servers: OwnServers, folder: Path) -> None:
    """Kill one of two workers while clients send, and judge what became of every chunk."""
    agents = servers.agents.make_apart(
        ["api", "worker", "worker"],
        STORAGE_SHARED_FS_DIR=str(folder),
        STT_PROVIDER="mock",
        MEETING_QUIET_SEC="60",
    )
    api, doomed, other = agents
    for agent in agents:
        await agent.start()
        print(f"started {agent.role} as process {agent.pid}", flush=True)
    async with Driver(lambda: api.address, MEETINGS) as driver:
        await driver.until_ok(CHUNKS // 2)
        await doomed.kill()
        print(f"killed worker {doomed.pid} after {len(driver.journal.ok)} chunks", flush=True)
        await driver.until_ok(CHUNKS // 2)
    await settled(api, driver.journal)
    count = await judge(servers.postgres.address, folder, driver.journal)
    if left := temporaries(folder):
        sys.exit(f"half-written files are left: {left}")
    print(f"worker {other.pid} finished all: {count} chunks, each heard once", flush=True)
    for agent in (api, other):
        if await agent.stop() != 0:
            sys.exit(f"{agent.role} did not end well")


async def run(shared: Path) -> None:
    """Do everything in a folder of its own below `shared`, and remove that again."""
    folder = shared / f"storage-smoke-{secrets.token_hex(4)}"
    folder.mkdir(mode=0o700)
    print(f"sharing {folder}", flush=True)
    own = Path(tempfile.mkdtemp(prefix="ia-smoke-"))
    servers = OwnServers(own)
    try:
        await probe(folder)
        await servers.start()
        await fail_over(servers, folder)
    finally:
        await servers.close()
        shutil.rmtree(own)
        shutil.rmtree(folder)
    print("storage failover smoke OK")


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared-dir", type=Path, help="folder to try; default: a temporary one")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.step:
        asyncio.run(step(options.step, options.shared_dir))
        return 0
    if options.shared_dir is not None:
        if not options.shared_dir.is_dir():
            parser.error(f"{options.shared_dir} is not a folder")
        asyncio.run(run(options.shared_dir.resolve()))
        return 0
    with tempfile.TemporaryDirectory(prefix="ia-share-") as folder:
        asyncio.run(run(Path(folder)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
