"""Break a running installation at random for some minutes, then judge it from outside.

Starts PostgreSQL, Valkey, an api, two workers and a reconciliation process, sends chunks of several
meetings all the time, and injects faults of `FAULTS` one or two at a time. The same seed gives the
same faults in the same order. Exits 0 only if every invariant holds at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import asyncpg
from redis.asyncio import Redis

from fault_driver import Driver
from fault_oracle import judge, settled
from fault_servers import OwnServers, frozen, tree

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from running_agents import Agent

ROLES = ("api", "worker", "stt,analytics", "reconciliation")
MEETINGS_AT_ONCE = 4
QUIET_S = 5


class Chaos:
    """The installation, the chance that decides what breaks next, and what was measured."""

    def __init__(self, servers: OwnServers, seed: int) -> None:
        self.servers = servers
        self.chance = random.Random(seed)  # noqa: S311 - reproducible on purpose
        self.injected: Counter[str] = Counter()
        self.recovery_s: dict[str, list[float]] = {}
        self.unexpected: list[str] = []
        self.agents: list[Agent] = servers.agents.make_apart(
            ROLES, STT_PROVIDER="mock", MEETING_QUIET_SEC=str(QUIET_S)
        )

    @property
    def api(self) -> Agent:
        """The process that answers the clients."""
        return self.agents[0]

    async def start(self) -> None:
        """Start every process."""
        for agent in self.agents:
            await agent.start()

    async def kill_api(self) -> None:
        """F01."""
        await self.api.kill()
        await self.api.start()

    async def kill_worker(self) -> None:
        """F02, F03."""
        victim = self.chance.choice(self.agents[1:])
        await victim.kill()
        await asyncio.sleep(self.chance.random() * 3)
        await victim.start()

    async def stop_gracefully(self) -> None:
        """F40."""
        victim = self.chance.choice(self.agents)
        asked_s = time.monotonic()
        code = await victim.stop()
        took_s = time.monotonic() - asked_s
        if code != 0 or took_s > 30:
            self.unexpected.append(f"{victim.role} ended with {code} after {took_s:.1f} s")
        await victim.start()

    async def kill_gracelessly(self) -> None:
        """F41."""
        victim = self.chance.choice(self.agents)
        victim.signal(signal.SIGTERM)
        await asyncio.sleep(self.chance.random())
        with contextlib.suppress(ProcessLookupError):
            victim.signal(signal.SIGTERM)
        await victim.ended()
        await victim.start()

    async def freeze_worker(self) -> None:
        """F31: longer than a lease."""
        with frozen([self.chance.choice(self.agents[1:3]).pid]):
            await asyncio.sleep(12)

    async def flush_valkey(self) -> None:
        """F08."""
        valkey = Redis.from_url(self.servers.valkey.address)
        await valkey.flushall()
        await valkey.aclose()

    async def restart_valkey(self) -> None:
        """F07."""
        os.kill(self.servers.valkey.pid, signal.SIGKILL)
        await self.servers.valkey.stop()
        await asyncio.sleep(self.chance.random() * 5)
        await self.servers.valkey.start()

    async def freeze_valkey(self) -> None:
        """F10."""
        with frozen([self.servers.valkey.pid]):
            await asyncio.sleep(self.chance.random() * 8)

    async def restart_postgres(self) -> None:
        """F22: an immediate stop, or a crash."""
        number = self.chance.choice([signal.SIGQUIT, signal.SIGKILL])
        os.kill(self.servers.postgres.pid, number)
        await self.servers.postgres.stop()
        await asyncio.sleep(self.chance.choice([0.0, 2.0, 20.0]))
        await self.servers.postgres.start()

    async def freeze_postgres(self) -> None:
        """F24."""
        with frozen(tree(self.servers.postgres.pid)):
            await asyncio.sleep(self.chance.random() * 15)

    async def cut_sessions(self) -> None:
        """F23."""
        ends = time.monotonic() + 3
        connection = await asyncpg.connect(self.servers.postgres.address)
        while time.monotonic() < ends:
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )
            await asyncio.sleep(0.05)
        await connection.close()

    async def lose_storage(self) -> None:
        """F18: the share goes and comes back."""
        away = self.servers.blob_dir.with_name("away")
        self.servers.blob_dir.rename(away)
        if self.chance.random() < 0.5:
            self.servers.blob_dir.mkdir()
        await asyncio.sleep(self.chance.random() * 4)
        if self.servers.blob_dir.exists():
            self.servers.blob_dir.rmdir()
        away.rename(self.servers.blob_dir)


FAULTS: dict[str, Callable[[Chaos], Awaitable[None]]] = {
    name: getattr(Chaos, name)
    for name in (
        "kill_api",
        "kill_worker",
        "stop_gracefully",
        "kill_gracelessly",
        "freeze_worker",
        "flush_valkey",
        "restart_valkey",
        "freeze_valkey",
        "restart_postgres",
        "freeze_postgres",
        "cut_sessions",
        "lose_storage",
    )
}
_GROUPS = {
    "kill_api": "processes",
    "kill_worker": "processes",
    "stop_gracefully": "processes",
    "kill_gracelessly": "processes",
    "freeze_worker": "processes",
    "restart_postgres": "postgres",
    "freeze_postgres": "postgres",
    "cut_sessions": "postgres",
    "flush_valkey": "valkey",
    "restart_valkey": "valkey",
    "freeze_valkey": "valkey",
    "lose_storage": "storage",
}
"""Two faults of one group would meet in one process; only different groups are broken together.

What starts a process needs both servers and the storage, so processes are broken alone.
"""


async def _inject(chaos: Chaos, driver: Driver) -> None:
    first, second = chaos.chance.sample(sorted(FAULTS), 2)
    groups = {_GROUPS[first], _GROUPS[second]}
    names = [first, second] if len(groups) == 2 and "processes" not in groups else [first]
    print(f"  {time.strftime('%H:%M:%S')} {' + '.join(names)}", flush=True)
    async with asyncio.TaskGroup() as group:
        for name in names:
            chaos.injected[name] += 1
            group.create_task(FAULTS[name](chaos))
    healed_s = time.monotonic()
    await driver.until_ok(10)
    for name in names:
        chaos.recovery_s.setdefault(name, []).append(driver.journal.first_ok_after(healed_s))
    await asyncio.sleep(chaos.chance.random() * 2)


async def _torment(chaos: Chaos, minutes: float, seed: int) -> int:
    ends = time.monotonic() + minutes * 60
    meetings = [f"chaos-{number}" for number in range(MEETINGS_AT_ONCE)]
    driver = Driver(lambda: chaos.api.address, meetings, clients=8, seed=seed, pace_s=0.05)
    async with driver:
        while time.monotonic() < ends:
            await _inject(chaos, driver)
    journal = driver.journal
    _report(chaos, driver)
    await settled(chaos.api, journal, 120)
    stored = await judge(chaos.servers.postgres.address, chaos.servers.blob_dir, journal)
    print(f"chunks stored and heard once: {stored}")
    for agent in chaos.agents:
        if (code := await agent.stop()) != 0:
            chaos.unexpected.append(f"{agent.role} ended with {code} at the end")
    slow = [each for each in journal.refusals if each.took_s > 4]
    if slow:
        chaos.unexpected.append(f"{len(slow)} refusals took over 4 s")
    if missing := [each for each in journal.refusals if not each.retry_after]:
        chaos.unexpected.append(f"{len(missing)} refusals without Retry-After")
    for line in chaos.unexpected:
        print(f"unexpected: {line}")
    return 1 if chaos.unexpected else 0


def _report(chaos: Chaos, driver: Driver) -> None:
    journal = driver.journal
    took_ms = sorted(1000 * each for each in journal.ok_took_s)
    print(
        f"accepted {len(journal.ok)}, refused {len(journal.refusals)} times, outcome unknown "
        f"{len(journal.unknown)}, longest time without a yes {journal.longest_gap_s():.1f} s"
    )
    p50_ms, p99_ms = took_ms[len(took_ms) // 2], took_ms[len(took_ms) * 99 // 100]
    print(f"answer p50 {p50_ms:.0f} ms, p99 {p99_ms:.0f} ms")
    for name, times in sorted(chaos.recovery_s.items()):
        print(
            f"  {name:<18} {len(times):>3} times, accepted again after at most {max(times):.2f} s"
        )


async def _main(minutes: float, seed: int) -> int:
    print(f"seed {seed}, {minutes:g} minutes", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="ia-chaos-"))
    servers = OwnServers(folder)
    verdict = 1
    try:
        await servers.start()
        chaos = Chaos(servers, seed)
        await chaos.start()
        verdict = await _torment(chaos, minutes, seed)
    except AssertionError as error:
        print(f"broken: {error}")
    finally:
        await servers.close()
        if verdict == 0:
            shutil.rmtree(folder)
        else:
            print(f"logs are in {folder}")
    print("verdict: every invariant holds" if verdict == 0 else f"verdict: BROKEN, seed {seed}")
    return verdict


def main() -> int:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    options = parser.parse_args()
    return asyncio.run(_main(options.minutes, options.seed))


if __name__ == "__main__":
    sys.exit(main())
