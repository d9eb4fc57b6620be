"""The loop of a stage on stores in memory, and what its handler may do."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from interview_agent.domain.errors import DatabaseError, LeaseLost
from interview_agent.domain.route import Stage
from interview_agent.metrics import Metrics
from interview_agent.ports.work import Claim, Outcome, QueueDepth
from interview_agent.runtime.loop import LoopTimes, StageLoop

TIMES = LoopTimes(lease_s=8.0, renew_s=0.01, poll_s=0.01, stuck_s=5.0, pause_s=0.01, return_s=1.0)


@dataclass
class Piece:
    """One piece of work as the store keeps it."""

    claim: Claim
    due: bool = True
    leased: bool = False
    failed: bool = False


@dataclass
class WorkTwin:
    """A work store in memory: one stage, leases that end only when told, a fence by epoch."""

    pieces: dict[str, Piece] = field(default_factory=dict)
    events: list[tuple[object, ...]] = field(default_factory=list)
    down: int = 0
    taken_over: bool = False

    def add(self, meeting_id: str, attempts: int = 0) -> None:
        claim = Claim(Stage.STT, meeting_id, "main", 0, 1, attempts, None)
        self.pieces[meeting_id] = Piece(claim)

    def _mine(self, claim: Claim) -> Piece:
        if self.down:
            self.down -= 1
            raise DatabaseError
        piece = self.pieces[claim.meeting_id]
        if not piece.leased or piece.claim.epoch != claim.epoch or self.taken_over:
            raise LeaseLost
        return piece

    async def claim(self, stage: Stage, owner: str, lease_s: float) -> Claim | None:
        assert (stage, owner, lease_s) == (Stage.STT, "loop-test", TIMES.lease_s)
        for piece in self.pieces.values():
            if piece.due and not piece.leased and not piece.failed:
                claim = piece.claim
                piece.claim = replace(claim, epoch=claim.epoch + 1, attempts=claim.attempts + 1)
                piece.leased = True
                return piece.claim
        return None

    async def renew(self, claim: Claim, lease_s: float) -> None:
        self._mine(claim)
        self.events.append(("renew", claim.meeting_id, lease_s))

    async def complete(self, claim: Claim, again_in_s: float | None = None) -> tuple[Stage, ...]:
        piece = self._mine(claim)
        piece.due = piece.leased = False
        piece.claim = replace(piece.claim, attempts=0)
        self.events.append(("complete", claim.meeting_id, again_in_s))
        return (Stage.ENHANCER,)

    async def retry_later(self, claim: Claim, delay_s: float, reason: str) -> None:
        piece = self._mine(claim)
        piece.leased = False
        self.events.append(("retry", claim.meeting_id, delay_s, reason))

    async def hand_back(self, claim: Claim) -> None:
        piece = self._mine(claim)
        piece.leased = False
        piece.claim = replace(piece.claim, attempts=piece.claim.attempts - 1)
        self.events.append(("hand_back", claim.meeting_id))

    async def put_off(self, claim: Claim, delay_s: float, reason: str) -> None:
        piece = self._mine(claim)
        piece.leased = False
        piece.claim = replace(piece.claim, attempts=piece.claim.attempts - 1)
        self.events.append(("put_off", claim.meeting_id, delay_s, reason))

    async def give_up(self, claim: Claim, reason: str) -> tuple[Stage, ...]:
        piece = self._mine(claim)
        piece.leased, piece.failed = False, True
        self.events.append(("give_up", claim.meeting_id, reason))
        return (Stage.ENHANCER,)

    async def close_quiet(self, quiet_s: float) -> int:
        raise NotImplementedError

    async def depths(self) -> list[QueueDepth]:
        raise NotImplementedError

    def named(self, *kinds: str) -> list[tuple[object, ...]]:
        return [event for event in self.events if event[0] in kinds]


@dataclass
class WakeTwin:
    """A wake queue that never wakes: the loop has to live by polling."""

    hints: list[tuple[Stage, str]] = field(default_factory=list)
    buried: list[tuple[str, str]] = field(default_factory=list)
    waits: int = 0

    def notify(self, stage: Stage, meeting_id: str, track: str = "") -> None:
        assert isinstance(track, str)
        self.hints.append((stage, meeting_id))

    def bury(self, stage: Stage, meeting_id: str, track: str, reason: str) -> None:
        assert (stage, track) == (Stage.STT, "main")
        self.buried.append((meeting_id, reason))

    async def wait(self, stage: Stage, timeout_s: float) -> bool:
        assert stage is Stage.STT
        await asyncio.sleep(timeout_s)
        self.waits += 1
        return False


Act = Callable[[Claim, Callable[[], None]], Awaitable[Outcome]]


class Handler:
    """Does what a test says and counts how often."""

    stage = Stage.STT

    def __init__(self, act: Act, *, can_go_on: bool = False) -> None:
        self._act = act
        self._can_go_on = can_go_on
        self.runs: dict[str, int] = defaultdict(int)
        self.running = asyncio.Event()

    async def run(self, claim: Claim, alive: Callable[[], None]) -> Outcome:
        self.runs[claim.meeting_id] += 1
        self.running.set()
        return await self._act(claim, alive)

    async def give_up(self, claim: Claim, reason: str) -> bool:
        assert claim
        assert reason
        return self._can_go_on


class Bench:
    """A loop with its twins."""

    def __init__(
        self, act: Act, *, can_go_on: bool = False, times: LoopTimes = TIMES, pieces: int = 1
    ) -> None:
        self.work, self.wake = WorkTwin(), WakeTwin()
        self.handler = Handler(act, can_go_on=can_go_on)
        self.metrics = Metrics("test")
        self.loop = StageLoop(
            self.handler,
            self.work,
            self.wake,
            self.metrics,
            owner="loop-test",
            concurrency=pieces,
            jitter=lambda: 1.0,
            times=times,
        )
        for number in range(pieces):
            self.work.add(f"m{number}")

    async def run_until(self, condition: Callable[[], bool]) -> None:
        """Run the loop until the condition holds, stop it, and let it end by itself."""
        task = asyncio.create_task(self.loop.run())
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0.005)
            self.loop.stop()
            await task
        assert self.loop.ended.is_set()

    def count_of(self, name: str) -> float:
        """Return what a counter of the stage shows."""
        line = self.counted(f'{name}{{stage="stt"}}')
        return float(line.split()[-1])

    def counted(self, name: str) -> str:
        """Return the lines of a scrape that begin with a name."""
        lines = self.metrics.render().splitlines()
        return "\n".join(line for line in lines if line.startswith(name))


def failing(error: Exception) -> Act:
    """Make a handler that begins and fails."""

    async def act(claim: Claim, alive: Callable[[], None]) -> Outcome:
        alive()
        raise error

    return act


async def succeed(claim: Claim, alive: Callable[[], None]) -> Outcome:
    """Do the work, and ask for it again."""
    assert claim.target == 1
    alive()
    return Outcome(again_in_s=7.0)
