"""A database with work to give up on, and an operator's look at it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interview_agent.adapters.postgres import Database, PostgresOperations
from interview_agent.domain.route import Stage
from work_bench import Bench, chunk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from interview_agent.ports.operations import GivenUp, StageReport


class Room(Bench):
    """A database with the stores that work on it, and an operator's look at it."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.rows = PostgresOperations(database)

    async def fail_chunk(self, seq: int = 0, **fields: object) -> None:
        """Accept a chunk, and give up on it."""
        await self.intake.accept(chunk(seq, **fields))
        claim = await self.claim(Stage.STT)
        assert await self.records.fail_next_chunk(claim, "stt_provider_error: x") == seq
        await self.work.complete(await self.claim(Stage.STT))

    async def report(self) -> int:
        """Finish the meeting, do all the work that this makes, and return the report's version."""
        await self.intake.finish("m1", {})
        for stage in (Stage.STT, Stage.ENHANCER):
            await self.work.complete(await self.claim(stage))
        return await self.analyse()

    async def analyse(self) -> int:
        claim = await self.claim(Stage.ANALYTICS)
        version = (await self.records.record(claim)).meeting.audio_version
        made = await self.records.commit_report(claim, version, {"summary": ""})
        await self.work.complete(claim)
        return made

    async def fail_report(self) -> None:
        """Finish the meeting, and give up on its report."""
        await self.intake.accept(chunk())
        await self.intake.finish("m1", {})
        for stage in (Stage.STT, Stage.ENHANCER):
            await self.work.complete(await self.claim(stage))
        await self.work.give_up(await self.claim(Stage.ANALYTICS), "internal: x")

    async def given_up(self, limit: int = 100) -> Sequence[GivenUp]:
        return await self.rows.given_up(limit, None)

    async def depth(self, stage: Stage) -> int:
        return next(each.failed for each in await self.work.depths() if each.stage is stage)

    async def stage(self, stage: Stage) -> StageReport:
        reports = await self.rows.stages("m1")
        return next(each for each in reports if each.view.stage is stage)

    async def run(self, statement: str) -> None:
        async with self.database.connection() as connection:
            await connection.execute(statement)
