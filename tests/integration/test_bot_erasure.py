"""A meeting with a bot in it is deleted: the bot leaves first, as far as it can be reached."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from erasure_vault import AUDIO, CHUNKS, SECRET, Vault, attended, named
from fake_sberjazz import Fault
from gateway_stand import Stand, gateway_stand
from interview_agent.adapters.postgres import PostgresConnectorSessions, PostgresStrayBots
from interview_agent.adapters.sberjazz import RetryRules
from interview_agent.domain.errors import AgentError
from interview_agent.domain.route import Stage
from interview_agent.pipeline.connector import (
    CallBack,
    ConnectorOperations,
    JoinWish,
    OperationRules,
    StrayRecall,
)
from traces import files_with, rows_with

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from interview_agent.adapters.postgres import Database
    from interview_agent.pipeline.erasure import ErasureStage

RULES = RetryRules(timeout_s=2.0, retries=0, backoff_s=0.001, most_s=0.01)
LINK = "https://salutejazz.ru/calls/abc?psw=hunter2"


class Room:
    """A meeting full of secrets with a bot in it, and what erases it."""

    def __init__(self, vault: Vault, stand: Stand) -> None:
        self.vault, self.fake = vault, stand.fake
        sessions = PostgresConnectorSessions(vault.database)
        rules = OperationRules(lock_s=10.0, link_hosts=("salutejazz.ru",))
        self.operations = ConnectorOperations(
            stand.connector, sessions, rules, clock=lambda: datetime.now(UTC)
        )
        self.bots = CallBack(sessions, self.operations, patience_s=1.0)
        self.connector = stand.connector
        self.called_back = 0

    async def join(self) -> None:
        meeting = (await self.vault.archive.meeting("m1")).meeting
        await self.operations.join(meeting, JoinWish(LINK, SECRET))

    def stage(self, **options: Any) -> ErasureStage:
        return self.vault.stage(bots=self.bots, **options)

    def strays(self, give_up_s: float = 60.0) -> StrayRecall:
        return StrayRecall(
            PostgresStrayBots(self.vault.database),
            self.connector,
            ask_s=1.0,
            on_called_back=self._count,
            give_up_s=give_up_s,
        )

    def _count(self) -> None:
        self.called_back += 1

    async def is_due(self) -> None:
        async with self.vault.database.connection() as connection:
            await connection.execute("UPDATE stage_work SET due_at = now() WHERE stage = 'erasure'")

    async def counts(self) -> dict[str, int]:
        counts: dict[str, int] = dict((await self.vault.proof()).counts)
        return {name: counts[name] for name in ("connector_sessions", "bots_not_called_back")}


@pytest_asyncio.fixture
async def room(database: Database, dsn: str, tmp_path: Path) -> AsyncIterator[Room]:
    vault = Vault(database, dsn, tmp_path / "audio")
    await vault.fill()
    async with gateway_stand(rules=RULES) as stand:
        made = Room(vault, stand)
        yield made
    await vault.blobs.aclose()


async def test_the_bot_leaves_before_anything_is_erased(room: Room) -> None:
    await room.join()
    await room.vault.delete()
    files_at_leave: list[int] = []

    class Watched:
        async def call_back(self, meeting_id: str) -> bool:
            left = await room.bots.call_back(meeting_id)
            files_at_leave.append(len(files_with([room.vault.folder], [AUDIO])))
            return left

    assert (await room.vault.erase(room.vault.stage(bots=Watched()))).again_in_s is None
    assert files_at_leave == [CHUNKS]
    assert room.fake.active_bots() == []
    assert await room.counts() == {"connector_sessions": 1, "bots_not_called_back": 0}
    await room.vault.check_gone()


async def test_its_link_and_the_right_to_pull_are_gone_with_the_deletion_itself(room: Room) -> None:
    await room.join()
    assert await rows_with(room.vault.dsn, ["hunter2"]) == {"hunter2": {"connector_sessions"}}
    async with room.vault.database.connection() as connection:
        await connection.execute(
            "UPDATE connector_sessions SET pull_fence = 7, pull_owner = 'a',"
            " pull_until = now() + interval '1 minute'"
        )
        await room.vault.delete()
        row = await connection.fetchrow(
            "SELECT wanted, pull_fence, pull_owner, pull_until, open_until FROM connector_sessions"
        )
    assert tuple(row) == (False, 8, None, None, None)
    assert await rows_with(room.vault.dsn, ["hunter2"]) == {"hunter2": set()}


@pytest.mark.parametrize("fault", [Fault("status", times=0), Fault("hang", times=0)])
async def test_a_gateway_that_is_away_holds_up_the_end_alone_and_not_for_ever(
    room: Room, fault: Fault
) -> None:
    await room.join()
    await named(room.vault)
    await room.vault.delete()
    room.fake.break_next("leave", fault)
    outcome = await room.vault.erase(room.stage(call_back_s=3600.0))
    assert outcome.again_in_s is not None
    assert not (room.vault.folder / "meetings/m1").exists()
    assert (await rows_with(room.vault.dsn, [SECRET]))[SECRET] == {"meetings"}, "of the other one"
    await room.is_due()
    outcome = await room.vault.erase(room.stage(call_back_s=0.0))
    assert outcome.again_in_s is None
    assert await room.counts() == {"connector_sessions": 1, "bots_not_called_back": 1}
    await room.vault.check_gone()


async def test_a_gateway_that_comes_back_is_told_to_let_the_bot_leave(room: Room) -> None:
    await room.join()
    await room.vault.delete()
    room.fake.break_next("leave", Fault("status", times=1))
    await room.vault.erase(room.stage())
    assert len(room.fake.active_bots()) == 1
    await room.is_due()
    assert (await room.vault.erase(room.stage())).again_in_s is None
    assert room.fake.active_bots() == []
    assert await room.counts() == {"connector_sessions": 1, "bots_not_called_back": 0}


async def test_a_bot_whose_meeting_was_erased_meanwhile_is_called_back_later(room: Room) -> None:
    await room.join()
    await room.vault.delete()
    room.fake.break_next("leave", Fault("status", times=2))
    await room.vault.erase(room.stage(call_back_s=0.0))
    await room.strays().look()
    assert len(room.fake.active_bots()) == 1
    assert await room.counts() == {"connector_sessions": 1, "bots_not_called_back": 1}
    await room.strays().look()
    assert room.fake.active_bots() == []
    assert await room.counts() == {"connector_sessions": 1, "bots_not_called_back": 0}
    assert (await room.vault.proof()).counts["bots_called_back_late"] == 1
    calls = len(room.fake.calls("leave"))
    await room.strays().look()
    assert len(room.fake.calls("leave")) == calls
    assert room.called_back == 1


async def test_a_bot_that_never_leaves_is_given_up_and_the_proof_keeps_saying_so(
    room: Room,
) -> None:
    await room.join()
    await room.vault.delete()
    room.fake.break_next("leave", Fault("status", times=0))
    await room.vault.erase(room.stage(call_back_s=0.0))
    calls = len(room.fake.calls("leave"))
    await room.strays(give_up_s=0.0).look()
    await room.strays().look()
    assert len(room.fake.calls("leave")) == calls
    assert await room.counts() == {"connector_sessions": 1, "bots_not_called_back": 1}


async def test_a_bot_that_was_being_sent_is_waited_for_and_called_back(room: Room) -> None:
    room.fake.break_next("join", Fault("slow", delay_s=1.0))
    joining = asyncio.create_task(room.join())
    async with asyncio.timeout(10):
        while not room.fake.calls("join"):
            await asyncio.sleep(0.01)
    await room.vault.delete()
    assert (await room.vault.erase(room.stage())).again_in_s is not None
    await asyncio.gather(joining, return_exceptions=True)
    await room.is_due()
    assert (await room.vault.erase(room.stage())).again_in_s is None
    assert len(room.fake.bots()) == 1
    assert room.fake.active_bots() == []
    await room.vault.check_gone()


async def test_a_bot_that_comes_after_the_end_is_called_back_by_who_sent_it(room: Room) -> None:
    room.fake.break_next("join", Fault("slow", delay_s=1.0))
    joining = asyncio.create_task(room.join())
    async with asyncio.timeout(10):
        while not room.fake.calls("join"):
            await asyncio.sleep(0.01)
    await room.vault.delete()
    await room.vault.erase(room.stage(call_back_s=0.0))
    await room.vault.check_gone()
    with pytest.raises(AgentError):
        await joining
    assert len(room.fake.bots()) == 1
    assert room.fake.active_bots() == []


async def test_of_a_bot_that_nobody_here_can_reach_the_proof_says_so(room: Room) -> None:
    await attended(room.vault)
    await room.vault.delete()
    assert (await room.vault.erase()).again_in_s is None
    assert await room.counts() == {"connector_sessions": 1, "bots_not_called_back": 1}
    assert await room.vault.work.claim(Stage.ERASURE, "test", 60.0) is None
