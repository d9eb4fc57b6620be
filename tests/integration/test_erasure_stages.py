"""A deletion that is killed, hindered or held up goes on until nothing is left."""

from __future__ import annotations

from typing import Any

import pytest

from erasure_stand import Deaf
from erasure_vault import AUDIO, CHUNKS, Vault, ingesting
from interview_agent.adapters.postgres import PostgresErasureRecords
from interview_agent.domain.errors import QueueError, StorageError
from interview_agent.domain.route import Stage
from interview_agent.pipeline.erasure import ErasureStage


class Dying:
    """Hands calls on, and dies before or after one of them."""

    def __init__(self, target: Any, fate: Fate) -> None:
        self._target, self._fate = target, fate

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._target, name)

        async def handed_on(*args: Any, **options: Any) -> Any:
            self._fate.step()
            answer = await call(*args, **options)
            self._fate.step()
            return answer

        return handed_on


class Fate:
    """Counts steps and ends the process at one of them."""

    def __init__(self, last_step: int) -> None:
        self._left = last_step

    def step(self) -> None:
        self._left -= 1
        if self._left == 0:
            raise ConnectionError("killed")


async def test_killed_at_any_step_it_goes_on_and_counts_nothing_twice(vault: Vault) -> None:
    await ingesting(vault)
    await vault.report()
    await vault.delete()
    steps = 0
    while True:
        steps += 1
        fate = Fate(steps)
        stage = vault.stage(
            *(
                Dying(each, fate)
                for each in (PostgresErasureRecords(vault.database), vault.blobs, Deaf())
            )
        )
        claim = await vault.work.claim(Stage.ERASURE, "test", 0.0)
        if claim is None:
            break
        try:
            outcome = await stage.run(claim, lambda: None)
        except ConnectionError:
            continue
        await vault.work.complete(claim, outcome.again_in_s)
    assert steps > 15, "each call of every store was one"
    await vault.check_gone()
    counts = (await vault.proof()).counts
    assert {name: counts[name] for name in ("files", "chunks", "bytes", "segments", "reports")} == {
        "files": CHUNKS,
        "chunks": CHUNKS,
        "bytes": CHUNKS * len(AUDIO),
        "segments": 2,
        "reports": 1,
    }


class Away:
    """A queue whose server is away."""

    async def forget(self, meeting_id: str) -> int:
        raise QueueError(meeting_id)


class Full:
    """A store that deletes nothing."""

    async def delete(self, keys: list[str]) -> int:
        raise StorageError(str(keys))


async def test_what_holds_ids_alone_may_be_away_and_holds_up_nothing_but_the_end(
    vault: Vault,
) -> None:
    await vault.delete()
    assert (await vault.erase(vault.stage(wake=Away()))).again_in_s
    await vault.check_gone()
    assert (await vault.proof()).finished_at is None


async def test_no_row_is_forgotten_before_its_file_is_gone(vault: Vault) -> None:
    await vault.delete()
    claim = await vault.claim(Stage.ERASURE)
    with pytest.raises(StorageError):
        await vault.stage(blobs=Full()).run(claim, lambda: None)
    async with vault.database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM chunks") == CHUNKS


async def test_a_deletion_that_drags_on_shows_in_its_age(vault: Vault) -> None:
    assert await vault.deletions.oldest_unfinished_s() == 0
    await vault.delete()
    async with vault.database.connection() as connection:
        await connection.execute("UPDATE deletions SET requested_at = now() - interval '1 hour'")
    assert 3600 <= await vault.deletions.oldest_unfinished_s() < 3700
    await vault.erase()
    assert await vault.deletions.oldest_unfinished_s() == 0


async def test_it_is_never_given_up_on(vault: Vault) -> None:
    await vault.delete()
    claim = await vault.claim(Stage.ERASURE)
    assert await vault.stage().give_up(claim, "internal: KeyError")
    async with vault.database.connection() as connection:
        row = await connection.fetchrow(
            "SELECT failed, attempts, due_at > now() AS later, lease_until FROM stage_work"
            " WHERE stage = 'erasure'"
        )
        assert tuple(row) == (False, 0, True, None)
        await connection.execute("UPDATE stage_work SET due_at = now() WHERE stage = 'erasure'")
    await vault.erase()
    await vault.check_gone()


async def test_it_waits_for_stragglers_before_it_says_that_nothing_is_left(vault: Vault) -> None:
    stage = ErasureStage(
        PostgresErasureRecords(vault.database), vault.blobs, Deaf(), settle_s=3600.0
    )
    await vault.delete()
    outcome = await vault.erase(stage)
    assert outcome.again_in_s is not None
    assert 3500 < outcome.again_in_s <= 3600
    await vault.check_gone()
    await vault.blobs.put("meetings/m1/main/0000000009-late.bin", AUDIO)
    async with vault.database.connection() as connection:
        await connection.execute("UPDATE stage_work SET due_at = now() WHERE stage = 'erasure'")
    assert (await vault.erase()).again_in_s is None
    await vault.check_gone()
    assert (await vault.proof()).counts["stray_files"] == 1
