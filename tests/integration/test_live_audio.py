"""The sound of a live track through the real decoder: any rate, any border, any place to begin."""

from __future__ import annotations

import hashlib
from contextlib import aclosing
from typing import TYPE_CHECKING

import numpy as np
import pytest
import pytest_asyncio

from encoded_audio import Signal, encode_as, pcm, resampled, tones
from interview_agent.adapters.decoder.child_decoder import ChildDecoder
from interview_agent.ports.audio import SAMPLE_RATE
from interview_agent.ports.transcriber import AudioPart
from interview_agent.stt.live_audio import LiveAudio, Place
from made_speech import MemoryBlobs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from interview_agent.ports.audio import Samples

SWEEP: Signal = np.stack([0.4 * np.sin(np.cumsum(np.linspace(0.02, 0.5, 6 * SAMPLE_RATE)))])
"""Six seconds at 16 kHz that sound different at every moment."""


@pytest_asyncio.fixture(scope="module")
async def decoder() -> AsyncIterator[ChildDecoder]:
    made = ChildDecoder()
    yield made
    await made.aclose()


class Track:
    """Chunks of one track, and whoever plays them."""

    def __init__(self, decoder: ChildDecoder) -> None:
        self.decoder = decoder
        self.blobs = MemoryBlobs()
        self.parts: list[AudioPart] = []

    async def add(
        self, chunks: Sequence[bytes], codec: str, rate: int = SAMPLE_RATE, channels: int = 1
    ) -> None:
        for chunk in chunks:
            seq = len(self.parts)
            await self.blobs.put(str(seq), chunk)
            digest = hashlib.sha256(chunk).hexdigest()
            self.parts.append(
                AudioPart(seq, str(seq), len(chunk), digest, codec, rate, channels, None)
            )

    def audio(self, place: Place | None = None) -> LiveAudio:
        return LiveAudio(self.blobs, self.decoder, place or Place())  # type: ignore[arg-type]  # only `open` is used

    async def played(self, place: Place | None = None) -> tuple[Samples, list[tuple[int, Place]]]:
        """Return the sound from a place on, and where one could begin after each chunk."""
        audio = self.audio(place)
        blocks: list[Samples] = []
        places: list[tuple[int, Place]] = []
        for part in self.parts:
            if part.seq > audio.last_seq:
                async with aclosing(audio.play(part)) as some:
                    blocks += [samples async for samples in some]
                places.append((audio.samples, audio.place_before(audio.samples)))
        await audio.aclose()
        return np.concatenate([np.zeros(0, np.float32), *blocks]), places


def cut(body: bytes, *sizes: int) -> list[bytes]:
    """Cut bytes into chunks of these sizes in turn."""
    chunks, at, turn = [], 0, 0
    while at < len(body):
        chunks.append(body[at : at + sizes[turn % len(sizes)]])
        at, turn = at + sizes[turn % len(sizes)], turn + 1
    return chunks


@pytest.mark.parametrize("sizes", [(8000,), (7999, 1, 333), (2, 40_001)])
async def test_raw_samples_are_whole_whatever_the_border(
    decoder: ChildDecoder, sizes: tuple[int, ...]
) -> None:
    track = Track(decoder)
    await track.add(cut(pcm(SWEEP), *sizes), "pcm")
    sound, _ = await track.played()
    assert np.array_equal(sound, np.frombuffer(pcm(SWEEP), "<i2") / np.float32(32768))


@pytest.mark.parametrize("sizes", [(8000,), (7999, 1, 333)])
async def test_raw_samples_go_on_from_any_place_as_they_were(
    decoder: ChildDecoder, sizes: tuple[int, ...]
) -> None:
    """Only a chunk that begins with a whole sample can be begun with."""
    track = Track(decoder)
    await track.add(cut(pcm(SWEEP), *sizes), "pcm")
    whole, places = await track.played()
    found = {place for _, place in places}
    assert len(found) > 3
    for place in sorted(found, key=lambda each: each.sample)[:: max(len(found) // 8, 1)]:
        rest, _ = await track.played(place)
        assert np.array_equal(rest, whole[place.sample :])
    assert all(place.sample <= heard for heard, place in places)


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (44_100, 1), (48_000, 2)])
async def test_raw_samples_of_any_rate_go_on_from_any_place(
    decoder: ChildDecoder, rate: int, channels: int
) -> None:
    """The same sound at the same time, but for what a resampler holds back in the end."""
    signal = resampled(SWEEP, SAMPLE_RATE, rate)
    track = Track(decoder)
    body = pcm(np.concatenate([signal] * channels))
    await track.add(cut(body, rate // 2 * channels * 2), "pcm", rate, channels)
    whole, places = await track.played()
    assert 0 <= SWEEP.shape[1] - whole.size < SAMPLE_RATE / 10
    _, place = places[len(places) // 2]
    assert place.sample > SAMPLE_RATE
    rest, _ = await track.played(place)
    assert np.abs(whole[place.sample :][400:8000] - rest[400:8000]).max() < 0.01


@pytest.mark.parametrize("kind", ["webm slices", "ogg", "mp3"])
async def test_slices_of_a_recorder_are_one_stream_that_begins_at_its_beginning(
    decoder: ChildDecoder, kind: str
) -> None:
    signal = resampled(SWEEP, SAMPLE_RATE, 48_000)
    body = encode_as(kind, signal)
    track = Track(decoder)
    await track.add(cut(body, 4001), "auto")
    whole, places = await track.played()
    assert abs(whole.size - SWEEP.shape[1]) < SAMPLE_RATE / 2
    assert {place for _, place in places} == {Place()}
    again, _ = await track.played(Place())
    assert np.array_equal(again, whole)


async def test_a_new_header_in_the_middle_begins_a_stream_and_a_place(
    decoder: ChildDecoder,
) -> None:
    """A recorder that is started again sends one."""
    signal = tones(3.0, 48_000, 440.0)
    slices = cut(encode_as("webm slices", signal), 4001)
    track = Track(decoder)
    await track.add(slices, "auto")
    await track.add(cut(encode_as("webm slices", np.repeat(signal, 2, axis=0)), 4001), "auto")
    whole, places = await track.played()
    assert abs(whole.size - 6 * SAMPLE_RATE) < SAMPLE_RATE
    _, place = places[-1]
    assert place.after_seq == len(slices) - 1
    rest, _ = await track.played(place)
    assert np.array_equal(rest, whole[place.sample :])


async def test_what_cannot_be_decoded_ends_its_stream_and_the_next_header_begins_another(
    decoder: ChildDecoder,
) -> None:
    signal = tones(2.0, 48_000, 440.0)
    whole_file = encode_as("flac", signal)
    track = Track(decoder)
    await track.add([b"\x1a\x45\xdf\xa3" + b"nothing at all" * 50, whole_file], "auto")
    sound, _ = await track.played()
    assert sound.size > SAMPLE_RATE / 4


async def test_a_chunk_whose_bytes_are_gone_leaves_a_gap_in_its_stream_alone(
    decoder: ChildDecoder,
) -> None:
    signal = resampled(SWEEP, SAMPLE_RATE, 48_000)
    track = Track(decoder)
    await track.add(cut(encode_as("webm slices", signal), 4001), "auto")
    whole, _ = await track.played()
    del track.blobs.blobs[str(len(track.parts) // 2)]
    torn, _ = await track.played()
    assert whole.size * 0.6 < torn.size <= whole.size


async def test_a_moment_names_the_chunk_that_sounds_then(decoder: ChildDecoder) -> None:
    track = Track(decoder)
    await track.add(cut(pcm(SWEEP), 8000), "pcm")
    audio = track.audio()
    for part in track.parts:
        async with aclosing(audio.play(part)) as blocks:
            async for _ in blocks:
                pass
    assert [audio.seq_at(moment_s) for moment_s in (0.0, 0.24, 0.26, 3.1, 99.0)] == [
        0,
        0,
        1,
        12,
        len(track.parts) - 1,
    ]
    await audio.aclose()


async def test_what_is_remembered_of_the_chunks_is_bounded(decoder: ChildDecoder) -> None:
    track = Track(decoder)
    await track.add([b"\0" * 32_000] * 300, "pcm")
    audio = track.audio()
    for part in track.parts:
        async with aclosing(audio.play(part)) as blocks:
            async for _ in blocks:
                pass
        audio.place_before(audio.samples)
    assert len(audio._marks) < 70
    assert audio.seq_at(299.5) == 299
    await audio.aclose()
