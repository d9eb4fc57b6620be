"""Audio that waits for a decoder: a real database, the real decoder with a single place."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import numpy as np

from decoder_driver import AUTO, feed
from encoded_audio import wav
from interview_agent.adapters.decoder.child_decoder import ChildDecoder
from interview_agent.domain.meeting import ChunkState
from interview_agent.domain.retry import MAX_ATTEMPTS
from interview_agent.metrics import Metrics
from interview_agent.pipeline.stt import SpeechStage
from interview_agent.runtime.loop import LoopTimes, StageLoop
from interview_agent.stt.track_transcriber import TrackTranscriber
from local_broadcast import LocalBroadcast
from made_speech import CountingModel, MemoryBlobs, speech
from stage_loop_bench import WakeTwin
from work_bench import Bench, chunk

WAIT_S = 30.0
PUT_OFF = 'agent_work_put_off_total{reason="backpressure",stage="stt"}'
PCM = speech(1.0, 0.5)
WAV = wav(np.frombuffer(PCM, "<i2").astype(np.float64)[None] / 32768, 16_000)


class _Worker:
    """One place for speech in a process, and waits that are as good as over."""

    def __init__(self, bench: Bench, decoder: ChildDecoder) -> None:
        self._bench = bench
        self._blobs = MemoryBlobs()
        self._metrics = Metrics("test")
        self.wake = WakeTwin()
        transcriber = TrackTranscriber(self._blobs, decoder, CountingModel(), vad_filter=False)  # type: ignore[arg-type]  # only `open` is used
        stage = SpeechStage(
            bench.records, transcriber, LocalBroadcast(), language="en", on_heard=lambda _: None
        )
        self._loop = StageLoop(
            stage,
            bench.work,
            self.wake,
            self._metrics,
            owner="worker",
            concurrency=1,
            jitter=lambda: 0.0,
            times=LoopTimes(poll_s=0.02),
        )

    async def bring(self, meeting_id: str, codec: str, body: bytes) -> None:
        """Store a whole recording."""
        new = chunk(0, body, meeting_id=meeting_id, codec=codec)
        await self._blobs.put(new.blob_key, body)
        await self._bench.intake.accept(new)
        await self._bench.intake.finish(meeting_id, {})

    async def state_of(self, meeting_id: str) -> ChunkState:
        """Return the state of the recording."""
        (only,) = await self._bench.archive.chunks(meeting_id)
        return only.state

    def put_off(self) -> int:
        """Return how often work was put off so far."""
        shown = self._metrics.render().splitlines()
        return int(float(next(line for line in shown if line.startswith(PUT_OFF)).split()[-1]))

    async def work(self) -> None:
        """Work for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._loop.run())
            while True:
                async with self._bench.database.connection() as connection:
                    await connection.execute(
                        "UPDATE stage_work SET due_at = now() WHERE due_at > now()"
                    )
                await asyncio.sleep(0.02)


async def test_audio_that_finds_no_decoder_waits_for_one_and_lets_others_pass(
    bench: Bench,
) -> None:
    """However often it finds none, it is not to blame; raw samples need no decoder meanwhile."""
    async with aclosing(ChildDecoder(max_children=1, answer_timeout_s=0.1)) as decoder:
        taken = await decoder.open(**AUTO)
        await feed(taken, WAV)
        worker = _Worker(bench, decoder)
        await worker.bring("encoded", "wav", WAV)
        await worker.bring("raw", "pcm", PCM)
        working = asyncio.create_task(worker.work())
        try:
            async with asyncio.timeout(WAIT_S):
                while worker.put_off() <= 2 * MAX_ATTEMPTS:
                    await asyncio.sleep(0.02)
                assert await worker.state_of("encoded") is ChunkState.PENDING
                assert await worker.state_of("raw") is ChunkState.DONE
                await taken.aclose()
                while await worker.state_of("encoded") is ChunkState.PENDING:
                    await asyncio.sleep(0.02)
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
    assert await worker.state_of("encoded") is ChunkState.DONE
    assert worker.wake.buried == []
