"""Which sound a track has when its streams begin, break, crash and end."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from interview_agent.domain.errors import StorageError
from interview_agent.stt.track_audio import TrackAudio
from made_speech import MemoryBlobs, ScriptedDecoder, speech, store

if TYPE_CHECKING:
    from interview_agent.ports.transcriber import AudioPart

ONE, TWO, THREE = (speech(1, 0.5, seed) for seed in (1, 2, 3))


def opened(
    blobs: MemoryBlobs, parts: tuple[AudioPart, ...], crashes: int = 0, **known: object
) -> TrackAudio:
    audio = TrackAudio(blobs, ScriptedDecoder(crashes), **known)  # type: ignore[arg-type]  # only `open` is used
    assert audio.offer(parts)
    return audio


async def played(audio: TrackAudio, *, to_the_end: bool = False) -> dict[int, int]:
    """Return the samples that each chunk brought."""
    heard: dict[int, int] = {}
    while (block := await audio.next_block()) is not None:
        heard[block.seq] = heard.get(block.seq, 0) + block.samples.size
    if to_the_end:
        async for block in audio.ending():
            heard[block.seq] = heard.get(block.seq, 0) + block.samples.size
    return heard


def reasons(audio: TrackAudio) -> dict[int, str]:
    return {part.seq: part.reason for part in audio.failed}


async def test_parts_continue_a_stream_until_one_starts_another() -> None:
    """A stream that ends gives what it held back before the next one begins."""
    blobs = MemoryBlobs()
    parts = await store(blobs, [b"fLaChold" + ONE, TWO, b"fLaC" + THREE], "auto")
    assert await played(opened(blobs, parts)) == {1: 32000, 2: 16000}


async def test_a_continuing_part_without_a_stream_fails() -> None:
    """Bytes that no header came before cannot be read."""
    blobs = MemoryBlobs()
    audio = opened(blobs, await store(blobs, [ONE, b"fLaC" + TWO], "auto"))
    assert await played(audio) == {1: 16000}
    assert reasons(audio) == {0: "no_stream_header"}


async def test_raw_samples_need_no_header_and_another_rate_starts_anew() -> None:
    """Raw samples are joined while their form stays the same."""
    blobs = MemoryBlobs()
    first, second, third = await store(blobs, [ONE, TWO, b"hold" + THREE])
    other = replace(third, sample_rate=8000)
    audio = opened(blobs, (first, second, other))
    assert await played(audio) == {0: 16000, 1: 16000}
    assert await played(audio, to_the_end=True) == {2: 16000}


@pytest.mark.parametrize(("crashes", "failed"), [(1, {}), (2, {1: "crashed"})])
async def test_a_crash_is_forgiven_once(crashes: int, failed: dict[int, str]) -> None:
    """The part is tried again from the start of its stream, and nothing is heard twice."""
    blobs = MemoryBlobs()
    parts = await store(blobs, [b"fLaC" + ONE, b"crash!" + TWO, b"fLaC" + THREE], "auto")
    audio = opened(blobs, parts, crashes)
    heard = await played(audio)
    assert reasons(audio) == failed
    assert heard == {seq: 16000 for seq in range(3) if seq not in failed}


async def test_what_was_heard_of_a_broken_part_is_heard_again_by_the_next_worker() -> None:
    """The failed part is not offered any more, and the sound is still the same."""
    blobs = MemoryBlobs()
    parts = await store(blobs, [b"fLaC" + ONE, b"half", b"fLaC" + THREE], "auto")
    audio = opened(blobs, parts)
    heard = await played(audio)
    assert heard == {0: 16000, 1: 100, 2: 16000}
    assert reasons(audio) == {1: "undecodable"}
    later = opened(blobs, (parts[0], parts[2]), breaks=audio.breaks)
    assert await played(later) == heard
    assert reasons(later) == {}


async def test_asking_for_the_end_changes_nothing_for_what_comes_later() -> None:
    """A track that was closed and goes on sounds like one that never was closed."""
    blobs = MemoryBlobs()
    parts = await store(blobs, [b"fLaC" + ONE, b"hold" + TWO, THREE], "auto")
    audio = opened(blobs, parts[:2])
    assert await played(audio, to_the_end=True) == {0: 16000, 1: 16000}
    assert audio.offer(parts)
    assert await played(audio, to_the_end=True) == {2: 32000}


async def test_other_parts_than_those_played_are_refused() -> None:
    """A chunk that came late into a hole cannot be added to what was played."""
    blobs = MemoryBlobs()
    parts = await store(blobs, [ONE, TWO, THREE])
    audio = opened(blobs, (parts[0], parts[2]))
    await played(audio)
    assert not audio.offer(parts)


async def test_a_missing_blob_is_no_fault_of_the_audio() -> None:
    """Storage trouble is raised, and fails no part."""
    blobs = MemoryBlobs()
    parts = await store(blobs, [ONE])
    blobs.blobs.clear()
    audio = opened(blobs, parts)
    with pytest.raises(StorageError):
        await audio.next_block()
    assert audio.failed == []


async def test_samples_come_unchanged() -> None:
    """The joined blocks are the samples of the chunks."""
    blobs = MemoryBlobs()
    audio = opened(blobs, await store(blobs, [ONE, TWO]))
    blocks = []
    while (block := await audio.next_block()) is not None:
        blocks.append(block.samples)
    expected = np.frombuffer(ONE + TWO, "<i2").astype(np.float32) / 32768
    assert np.array_equal(np.concatenate(blocks), expected)


async def test_a_part_whose_bytes_are_gone_fails_and_its_neighbours_are_heard() -> None:
    """Only a store that is down as a whole stops a track."""
    blobs = MemoryBlobs()
    parts = await store(blobs, [ONE, TWO, THREE])
    del blobs.blobs[parts[1].blob_key]
    audio = opened(blobs, parts)
    assert await played(audio) == {0: 16000, 2: 16000}
    assert reasons(audio) == {1: "blob_missing"}


async def test_a_part_that_came_before_its_header_is_judged_anew_once_the_header_is_there() -> None:
    """Chunks in the wrong order cost nothing; without a new chunk before it the verdict stands."""
    blobs = MemoryBlobs()
    parts = await store(blobs, [b"fLaC" + ONE, TWO, THREE], "auto")
    audio = opened(blobs, parts[1:2])
    assert await played(audio) == {}
    assert reasons(audio) == {1: "no_stream_header"}
    assert audio.offer(parts[1:])
    assert not audio.offer(parts)
    assert await played(opened(blobs, parts)) == {0: 16000, 1: 16000, 2: 16000}


@pytest.mark.parametrize(
    "damaged",
    [TWO[:-2], TWO + bytes(2), bytes([TWO[0] ^ 1]) + TWO[1:], b""],
    ids=["truncated", "longer", "one bit", "empty"],
)
async def test_a_part_whose_bytes_are_not_those_accepted_fails_and_its_neighbours_are_heard(
    damaged: bytes,
) -> None:
    """Nothing is made of bytes that nobody sent, and the verdict is final."""
    blobs = MemoryBlobs()
    parts = await store(blobs, [ONE, TWO, THREE])
    blobs.blobs[parts[1].blob_key] = damaged
    audio = opened(blobs, parts)
    assert await played(audio) == {0: 16000, 2: 16000}
    assert reasons(audio) == {1: "blob_corrupt"}
    assert audio.offer(parts)
    assert await played(audio) == {}


async def test_a_store_that_goes_away_while_it_is_read_fails_no_chunk() -> None:
    """The same audio can be played once the store is back."""
    blobs = MemoryBlobs()
    parts = await store(blobs, [b"fLaC" + ONE, TWO], "auto")
    blobs.unreadable.add(parts[1].blob_key)
    audio = opened(blobs, parts)
    with pytest.raises(StorageError):
        await played(audio)
    assert reasons(audio) == {}
    blobs.unreadable.clear()
    assert await played(opened(blobs, parts)) == {0: 16000, 1: 16000}
