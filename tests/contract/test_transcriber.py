"""What every transcriber promises, the mock and the real one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest_asyncio

from interview_agent.adapters.decoder.child_decoder import ChildDecoder
from interview_agent.adapters.local_fs import LocalFsBlobStore
from interview_agent.adapters.mock_stt import MockTranscriber
from interview_agent.stt.track_transcriber import TrackTranscriber
from made_speech import Written, part_of, write_down
from real_speech import recording, silence

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import pytest

    from interview_agent.adapters.whisper.model import WhisperSpeechModel
    from interview_agent.ports.transcriber import AudioPart, Transcriber


class Bench:
    """A transcriber with the parts of a track of one and a half windows."""

    def __init__(self, transcriber: Transcriber, parts: tuple[AudioPart, ...]) -> None:
        self.transcriber = transcriber
        self.parts = parts


@pytest_asyncio.fixture(params=["mock", "whisper_local"], scope="module")
async def bench(
    request: pytest.FixtureRequest,
    speech_model: WhisperSpeechModel,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Bench]:
    """Each kind of transcriber in turn."""
    folder: Path = tmp_path_factory.mktemp("blobs")
    blobs = LocalFsBlobStore(folder)
    await blobs.prepare()
    clips = [recording(name) for name in ("libri_2412_0.wav", "0870_sense.wav")]
    body = np.concatenate([*clips, silence(0.5), *clips, silence(3)]).tobytes()
    parts = []
    for seq, at in enumerate(range(0, len(body), 96000)):
        chunk = body[at : at + 96000]
        await blobs.put(f"m/{seq}.bin", chunk)
        parts.append(part_of(seq, f"m/{seq}.bin", chunk))
    transcriber: Transcriber = MockTranscriber()
    if request.param == "whisper_local":
        transcriber = TrackTranscriber(blobs, ChildDecoder(), speech_model)
    assert transcriber.name == request.param
    yield Bench(transcriber, tuple(parts))


@pytest_asyncio.fixture(scope="module")
async def uninterrupted(bench: Bench) -> Written:
    """The transcript of the closed track in one call."""
    return await write_down(bench.transcriber, bench.parts)


async def test_the_last_step_of_a_closed_track_is_done_with_everything(
    bench: Bench, uninterrupted: Written
) -> None:
    """All chunks are done, and there is text of the first and of the last one."""
    assert uninterrupted.steps[-1].done_seq == bench.parts[-1].seq
    assert uninterrupted.segments
    assert uninterrupted.failed == {}


async def test_a_retry_gives_the_same_steps(bench: Bench, uninterrupted: Written) -> None:
    """A call whose results were lost is repeated exactly."""
    assert (await write_down(bench.transcriber, bench.parts)).steps == uninterrupted.steps


async def test_an_interrupted_track_ends_with_the_same_text(
    bench: Bench, uninterrupted: Written
) -> None:
    """Chunks that come little by little, and steps taken one by one, change nothing."""
    written = Written()
    half = len(bench.parts) // 2
    await write_down(bench.transcriber, bench.parts[:half], written, closed=False)
    await write_down(bench.transcriber, bench.parts, written, most_steps=len(written.steps) + 1)
    await write_down(bench.transcriber, bench.parts, written)
    assert written.segments == uninterrupted.segments


async def test_a_closed_track_can_go_on(bench: Bench, uninterrupted: Written) -> None:
    """What was written at the first close gives way where the longer track says otherwise."""
    written = await write_down(bench.transcriber, bench.parts[:-4])
    await write_down(bench.transcriber, bench.parts, written)
    assert written.segments == uninterrupted.segments


async def test_a_late_chunk_starts_the_track_again(bench: Bench, uninterrupted: Written) -> None:
    """A hole that is filled is as if it had never been."""
    written = await write_down(bench.transcriber, (*bench.parts[:2], *bench.parts[3:]))
    await write_down(bench.transcriber, bench.parts, written)
    assert written.segments == uninterrupted.segments


async def test_an_empty_closed_track_is_a_step_without_text(bench: Bench) -> None:
    """The caller learns that there is nothing."""
    written = await write_down(bench.transcriber, ())
    assert [(step.keep, step.segments, step.done_seq) for step in written.steps] == [(0, (), None)]
