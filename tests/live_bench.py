"""Workers that caption scripted speech, on a real database, a real Valkey and real files."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from caption_twin import CaptionTwin, Said, pcm
from interview_agent.adapters.local_fs import LocalFsBlobStore
from interview_agent.adapters.postgres import (
    Database,
    PostgresArchive,
    PostgresIntake,
    PostgresLiveRecords,
    PostgresStageRecords,
    PostgresWorkStore,
)
from interview_agent.adapters.valkey import ValkeyBroadcast, ValkeyWakeQueue
from interview_agent.domain.live import Alert, Partial, Signal
from interview_agent.domain.route import Stage
from interview_agent.domain.transcript import DraftSegment
from interview_agent.metrics import Metrics
from interview_agent.pipeline.analytics import AnalyticsStage
from interview_agent.pipeline.enhance import EnhancerStage
from interview_agent.pipeline.live import LiveOutlets, LiveStage, LiveTimes
from interview_agent.pipeline.stt import SpeechStage
from interview_agent.ports.audio import SAMPLE_RATE
from interview_agent.ports.intake import NewChunk
from interview_agent.ports.transcriber import TrackInput, TrackProgress, Transcriber
from interview_agent.runtime.loop import LoopTimes, StageLoop
from interview_agent.stt.live_captions import LiveCaptions
from made_speech import ScriptedDecoder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from pathlib import Path

    from interview_agent.adapters.embedded import EmbeddedAddresses
    from interview_agent.domain.transcript import Segment, TranscriptEvent
    from interview_agent.ports.work import StageHandler

CHUNK_S = 0.25
CHUNK_SAMPLES = int(CHUNK_S * SAMPLE_RATE)
TIMES = LiveTimes(poll_s=0.02, stall_s=0.4, idle_s=1.0)
LOOP_TIMES = LoopTimes(poll_s=0.2, renew_s=0.5, pause_s=0.05)
WAIT_S = 15.0


class WholeHearing(Transcriber):
    """Hears all words of a closed track at once, in capitals: nobody takes them for captions."""

    name = "whole"

    def __init__(self, said: Sequence[Said]) -> None:
        self._said = said

    async def advance(self, track: TrackInput) -> AsyncIterator[TrackProgress]:
        """Give one segment with every word."""
        if not track.closed or not track.parts:
            return
        end_s = (track.parts[-1].seq + 1) * CHUNK_S
        heard = [word for word in self._said if word.end_s <= end_s]
        text = " ".join(word.text for word in heard).upper()
        segment = DraftSegment(text, heard[0].start_s, heard[-1].end_s)
        yield TrackProgress(0, (segment,), {}, track.parts[-1].seq, end_s, until_s=end_s)

    async def aclose(self) -> None:
        """Nothing is held."""


@dataclass
class LiveBench:
    """What several workers share, and what a listener heard."""

    database: Database
    blobs: LocalFsBlobStore
    redis_url: str
    said: Sequence[Said]
    decoder: ScriptedDecoder = field(default_factory=ScriptedDecoder)
    signals: list[Signal] = field(default_factory=list)
    delays_s: list[float] = field(default_factory=list)
    times: LiveTimes = TIMES
    _loops: list[asyncio.Future[Any]] = field(default_factory=list)
    _workers: list[Worker] = field(default_factory=list)
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    def __post_init__(self) -> None:
        self.archive = PostgresArchive(self.database)
        self.intake = PostgresIntake(self.database)
        self.work = PostgresWorkStore(self.database)
        self.twin = CaptionTwin(self.said)

    @classmethod
    async def open(
        cls, database: Database, folder: Path, servers: EmbeddedAddresses, said: Sequence[Said]
    ) -> LiveBench:
        """Make the folder of audio and listen to the meeting."""
        blobs = LocalFsBlobStore(folder)
        await blobs.prepare()
        bench = cls(database, blobs, servers.redis_url or "", said)
        broadcast = bench._broadcast()
        broadcast.listen("m1", bench.signals.append)
        bench.loop(broadcast.run_listener())
        return bench

    def loop(self, work: Any) -> None:
        """Run something for ever, until the bench is closed."""
        self._loops.append(asyncio.ensure_future(work))

    def _broadcast(self) -> ValkeyBroadcast:
        made = ValkeyBroadcast(self.redis_url, on_failure=lambda: None)
        self._stack.push_async_callback(made.aclose)
        return made

    async def worker(self, twin: CaptionTwin | None = None) -> Worker:
        """Start a process of stages."""
        stages = (Stage.LIVE, Stage.STT, Stage.ENHANCER, Stage.ANALYTICS)
        wake = ValkeyWakeQueue(
            self.redis_url,
            stages=stages,
            consumer=f"bench-{id(object())}",
            max_waiting=100,
            on_failure=lambda: None,
        )
        self._stack.push_async_callback(wake.aclose)
        broadcast = self._broadcast()
        for work in (
            broadcast.run_publisher(),
            wake.run_publisher(),
            *map(wake.run_reader, stages),
        ):
            self.loop(work)
        worker = Worker(self, wake, broadcast, twin or self.twin)
        self._workers.append(worker)
        return worker

    async def send(self, first: int, last: int, *, prefix: dict[int, bytes] | None = None) -> None:
        """Accept chunks `first` to `last` of the track."""
        for seq in range(first, last + 1):
            body = (prefix or {}).get(seq, b"") + pcm(
                seq * CHUNK_SAMPLES, (seq + 1) * CHUNK_SAMPLES
            )
            key = f"m1/{seq}.bin"
            await self.blobs.put(key, body)
            await self.intake.accept(
                NewChunk(
                    meeting_id="m1",
                    owner="subject:a",
                    track="main",
                    codec="pcm",
                    sample_rate=SAMPLE_RATE,
                    channels=1,
                    idempotency_key=str(seq),
                    seq=seq,
                    sha256=hashlib.sha256(body).hexdigest(),
                    size_bytes=len(body),
                    blob_key=key,
                    live=True,
                )
            )

    @property
    def last_seq(self) -> int:
        """The chunk in which the last word ends, and a breath."""
        return int((self.said[-1].end_s + 0.5) / CHUNK_S)

    async def until(self, check: Callable[[], Awaitable[bool]], timeout_s: float = WAIT_S) -> None:
        """Wait until something is so."""
        async with asyncio.timeout(timeout_s):
            while not await check():
                await asyncio.sleep(0.02)

    async def segments(self) -> list[Segment]:
        """Return the transcript."""
        return list(await self.archive.segments("m1"))

    async def events(self) -> list[TranscriptEvent]:
        """Return everything that happened to it."""
        return list(await self.archive.events("m1", 0, 10_000))

    async def words(self) -> list[str]:
        """Return the words that stand."""
        return " ".join(each.raw_text for each in await self.segments()).split()

    async def until_words(self, count: int) -> None:
        """Wait until so many words stand at least."""

        async def enough() -> bool:
            return len(await self.words()) >= count

        await self.until(enough)

    async def until_done(self) -> None:
        """Wait until the meeting has its report."""

        async def reported() -> bool:
            meeting = (await self.archive.meeting("m1")).meeting
            return meeting.closed and meeting.reported_version == meeting.audio_version

        await self.until(reported)

    async def work_row(self, stage: Stage = Stage.LIVE) -> Any:
        """Return the row of the track's work."""
        async with self.database.connection() as connection:
            return await connection.fetchrow(
                "SELECT *, lease_until IS NOT NULL AS held FROM stage_work WHERE stage = $1",
                stage.value,
            )

    async def execute(self, statement: str) -> None:
        """Do something behind everybody's back."""
        async with self.database.connection() as connection:
            await connection.execute(statement)

    def partials(self) -> list[Partial]:
        """Return the partials that were heard."""
        return [each for each in self.signals if isinstance(each, Partial)]

    def alerts(self) -> list[Alert]:
        """Return the alerts that were heard."""
        return [each for each in self.signals if isinstance(each, Alert)]

    async def close(self) -> None:
        """End every worker and loop."""
        await asyncio.gather(*(worker.leave() for worker in self._workers))
        for each in self._loops:
            each.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        await self._stack.aclose()


class Worker:
    """One process of stages; `metrics` are its own."""

    def __init__(
        self,
        bench: LiveBench,
        wake: ValkeyWakeQueue,
        broadcast: ValkeyBroadcast,
        twin: CaptionTwin,
    ) -> None:
        records = PostgresStageRecords(bench.database)
        self.metrics = Metrics("bench")
        self.live = LiveStage(
            LiveOutlets(
                PostgresLiveRecords(bench.database), broadcast, wake, bench.delays_s.append
            ),
            partial(LiveCaptions, bench.blobs, bench.decoder, twin),
            language="en",
            times=bench.times,
        )
        whole = WholeHearing(bench.said)
        stages: tuple[StageHandler, ...] = (
            self.live,
            SpeechStage(records, whole, broadcast, language="en", on_heard=lambda _: None),
            EnhancerStage(records, broadcast),
            AnalyticsStage(records, broadcast, language="en"),
        )
        self.loops = [
            StageLoop(
                stage,
                bench.work,
                wake,
                self.metrics,
                owner=f"worker-{id(self)}",
                concurrency=4,
                jitter=lambda: 0.0,
                times=LOOP_TIMES,
            )
            for stage in stages
        ]
        self._running = [asyncio.ensure_future(loop.run()) for loop in self.loops]

    async def leave(self) -> None:
        """Stop as a drained process does, and wait for the end."""
        for loop in self.loops:
            loop.stop()
        self.live.stop()
        async with asyncio.timeout(WAIT_S):
            await asyncio.gather(*self._running)
