"""The decoder against real children: every format, cut anywhere, and what it says to others."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pytest
from faster_whisper.audio import decode_audio

from decoder_driver import AUTO, decode, feed
from encoded_audio import ENCODERS, cut, encode_as, pcm, tones, wav
from interview_agent.adapters.decoder.child_decoder import ChildDecoder
from interview_agent.domain.audio_format import live_webm_preface, starts_stream
from interview_agent.domain.errors import BadAudio
from interview_agent.ports.audio import SAMPLE_RATE, Samples

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SECONDS = 4.0
LEFT_HZ, RIGHT_HZ = 440.0, 1500.0
STEREO = tones(SECONDS, 48_000, LEFT_HZ, RIGHT_HZ)
PCM = {"codec": "pcm", "sample_rate": SAMPLE_RATE, "channels": 1, "channel": None}


@pytest.fixture(scope="module")
async def decoder() -> AsyncIterator[ChildDecoder]:
    decoder = ChildDecoder()
    yield decoder
    await decoder.aclose()


def loudest_hz(samples: Samples) -> float:
    spectrum = np.abs(np.fft.rfft(samples))
    return float(np.argmax(spectrum) * SAMPLE_RATE / len(samples))


@pytest.fixture(scope="module")
def encoded() -> dict[str, bytes]:
    return {kind: encode_as(kind, STEREO) for kind in ENCODERS}


@pytest.mark.parametrize("kind", ENCODERS)
async def test_whole_files_decode_to_what_plain_libav_makes_of_them(
    decoder: ChildDecoder, encoded: dict[str, bytes], kind: str
) -> None:
    samples = await decode(decoder, [encoded[kind]])
    expected = decode_audio(io.BytesIO(encoded[kind]))
    assert abs(len(samples) / SAMPLE_RATE - SECONDS) < 0.1
    np.testing.assert_array_equal(samples, expected)


@pytest.mark.parametrize("kind", ENCODERS)
async def test_files_cut_at_arbitrary_bytes_decode_as_the_whole(
    decoder: ChildDecoder, encoded: dict[str, bytes], kind: str
) -> None:
    data = encoded[kind]
    places = np.random.default_rng(len(data)).integers(0, len(data), 12)
    whole = await decode(decoder, [data])
    parts = await decode(decoder, cut(data, 3, 3, *places.tolist()))
    np.testing.assert_array_equal(parts, whole)


@pytest.mark.parametrize("kind", ENCODERS)
async def test_each_channel_can_be_heard_alone(
    decoder: ChildDecoder, encoded: dict[str, bytes], kind: str
) -> None:
    for channel, hz in enumerate((LEFT_HZ, RIGHT_HZ)):
        samples = await decode(decoder, [encoded[kind]], channel=channel)
        assert loudest_hz(samples) == pytest.approx(hz, abs=3)
        assert np.sqrt(np.mean(samples**2)) == pytest.approx(0.15, abs=0.03)


@pytest.mark.parametrize(("kind", "lag_s"), [("wav", 0.2), ("webm slices", 0.2), ("mp3", 0.3)])
async def test_live_slices_are_heard_as_they_come(
    decoder: ChildDecoder, encoded: dict[str, bytes], kind: str, lag_s: float
) -> None:
    data = encoded[kind]
    slices = cut(data, *(len(data) * n // 8 for n in range(1, 8)))
    stream = await decoder.open(**AUTO)
    heard_s = 0.0
    for number, part in enumerate(slices, 1):
        heard_s += sum(map(len, await feed(stream, part))) / SAMPLE_RATE
        assert heard_s > number * SECONDS / 8 - lag_s
    await stream.aclose()


async def test_stand_alone_wav_chunks_are_streams_of_their_own(decoder: ChildDecoder) -> None:
    chunks = [wav(STEREO[:, at : at + 24_000], 48_000) for at in range(0, STEREO.shape[1], 24_000)]
    assert all(starts_stream("auto", chunk) for chunk in chunks)
    heard = [await decode(decoder, [chunk]) for chunk in chunks]
    assert [len(samples) for samples in heard] == [8000] * 8


@pytest.mark.parametrize("claimed_bytes", [0, 0xFFFF_FFFF, 0x7FFF_F000])
async def test_a_wav_with_an_unknown_length_is_read_to_its_end(
    decoder: ChildDecoder, claimed_bytes: int
) -> None:
    signal = tones(2.0, SAMPLE_RATE, 440.0)
    data = wav(signal, SAMPLE_RATE, claimed_bytes)
    assert len(await decode(decoder, cut(data, 9_001, 33_333))) == 2 * SAMPLE_RATE


async def test_a_wav_header_for_the_first_chunk_alone_still_introduces_the_rest(
    decoder: ChildDecoder,
) -> None:
    signal = tones(2.0, SAMPLE_RATE, 440.0)
    first = wav(signal[:, :8000], SAMPLE_RATE)
    samples = await decode(decoder, [first, *cut(pcm(signal[:, 8000:]), 16_000)])
    assert len(samples) == 2 * SAMPLE_RATE
    assert np.abs(samples - signal[0]).max() < 1e-4


async def test_what_follows_the_samples_of_a_wav_is_not_heard(decoder: ChildDecoder) -> None:
    data = wav(tones(1.0, SAMPLE_RATE, 440.0), SAMPLE_RATE) + b"LIST\x10\x00\x00\x00" + b"\x7f" * 16
    assert len(await decode(decoder, cut(data, 5_000))) == SAMPLE_RATE


async def test_a_broken_place_is_skipped(decoder: ChildDecoder, encoded: dict[str, bytes]) -> None:
    for kind in ("mp3", "ogg", "webm slices", "flac", "aac"):
        data = bytearray(encoded[kind])
        middle = len(data) // 2
        data[middle : middle + 300] = b"\xa5" * 300
        assert len(await decode(decoder, [bytes(data)])) > 0.6 * SECONDS * SAMPLE_RATE, kind


async def test_a_file_that_breaks_off_is_heard_up_to_there(
    decoder: ChildDecoder, encoded: dict[str, bytes]
) -> None:
    for kind in sorted(ENCODERS.keys() - {"m4a"}):
        half = encoded[kind][: len(encoded[kind]) // 2]
        heard_s = len(await decode(decoder, [half])) / SAMPLE_RATE
        assert 0.2 * SECONDS < heard_s < 0.7 * SECONDS, kind


@pytest.mark.parametrize("rate", [SAMPLE_RATE, 8_000, 44_100])
async def test_raw_samples_may_be_cut_within_a_sample(decoder: ChildDecoder, rate: int) -> None:
    signal = tones(3.0, rate, LEFT_HZ, RIGHT_HZ)
    wanted = {"codec": "pcm", "sample_rate": rate, "channels": 2}
    parts = cut(pcm(signal), 1, 2, 5, 10_001, 10_003, 60_002)
    for channel, hz in ((0, LEFT_HZ), (1, RIGHT_HZ)):
        samples = await decode(decoder, parts, **wanted, channel=channel)
        assert abs(len(samples) - 3 * SAMPLE_RATE) < 3
        assert loudest_hz(samples) == pytest.approx(hz, abs=3)
    mixed = await decode(decoder, parts, **wanted)
    expected = decode_audio(io.BytesIO(wav(signal, rate)))
    np.testing.assert_array_equal(mixed, expected)


async def test_raw_samples_at_our_rate_come_back_exactly_and_need_no_child() -> None:
    signal = tones(25.0, SAMPLE_RATE, 440.0)
    body = pcm(signal)
    decoder = ChildDecoder(max_children=0, answer_timeout_s=0.1)
    samples = await decode(decoder, [body + b"\x01"], **PCM)
    np.testing.assert_array_equal(samples, np.frombuffer(body, "<i2") / np.float32(32768))


async def test_a_container_that_is_called_pcm_is_still_a_container(
    decoder: ChildDecoder, encoded: dict[str, bytes]
) -> None:
    samples = await decode(decoder, [encoded["webm"]], **PCM)
    np.testing.assert_array_equal(samples, await decode(decoder, [encoded["webm"]]))


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        ({"codec": "pcm", "sample_rate": 1, "channels": 1}, "unsupported"),
        ({"codec": "pcm", "sample_rate": 10**9, "channels": 1}, "unsupported"),
        ({"codec": "pcm", "sample_rate": 16_000, "channels": 255}, "unsupported"),
        ({"codec": "pcm", "sample_rate": 16_000, "channels": 2, "channel": 2}, "no_channel"),
    ],
)
async def test_raw_samples_that_cannot_be_are_refused_at_once(
    decoder: ChildDecoder, wanted: dict[str, object], reason: str
) -> None:
    with pytest.raises(BadAudio) as refusal:
        await decoder.open(**{**AUTO, **wanted})
    assert refusal.value.details["reason"] == reason


async def test_a_channel_that_is_not_there_is_refused(decoder: ChildDecoder) -> None:
    with pytest.raises(BadAudio) as refusal:
        await decode(decoder, [wav(tones(1.0, 16_000, 440.0), 16_000)], channel=1)
    assert refusal.value.details["reason"] == "no_channel"


async def test_a_stream_without_any_part_is_simply_empty(decoder: ChildDecoder) -> None:
    assert len(await decode(decoder, [])) == 0


async def test_a_webm_header_before_every_slice_is_read_once(
    decoder: ChildDecoder, encoded: dict[str, bytes]
) -> None:
    """Slices begin anywhere in a cluster, so that none of them can be read alone."""
    data = encoded["webm slices"]
    preface = live_webm_preface(data)
    assert 100 < len(preface) < 2000
    assert live_webm_preface(encoded["webm"]) == b""
    first, *others = cut(data, *(len(data) * n // 8 for n in range(1, 8)))
    samples = await decode(decoder, [first, *(preface + other for other in others), preface])
    np.testing.assert_array_equal(samples, await decode(decoder, [data]))


async def test_a_wav_without_samples_is_silent(decoder: ChildDecoder) -> None:
    empty = wav(tones(0, SAMPLE_RATE, 440.0), SAMPLE_RATE)
    assert len(await decode(decoder, [empty])) == 0
