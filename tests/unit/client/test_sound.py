"""Sound comes at the pace of somebody who speaks, whole, and ends when it is asked to."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from encoded_audio import encode, pcm, tones, wav
from interview_agent.client.sound import (
    Sound,
    in_real_time,
    mix,
    open_file,
    open_microphone,
    open_raw,
    split,
)
from interview_agent.domain.errors import BadAudio

if TYPE_CHECKING:
    from pathlib import Path

STEREO = tones(0.35, 8000, 300.0, 900.0)


async def heard(sound: Sound, stop: asyncio.Event | None = None) -> list[bytes]:
    return [piece async for piece in in_real_time(sound, stop or asyncio.Event())]


async def test_a_wav_comes_as_it_is_in_pieces_of_a_tenth_of_a_second(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(wav(STEREO, 8000))
    sound = open_file(tmp_path / "a.wav")
    assert (sound.sample_rate, sound.channels) == (8000, 2)
    began_s = time.monotonic()
    pieces = await heard(sound)
    assert time.monotonic() - began_s >= 0.35
    assert b"".join(pieces) == pcm(STEREO)
    assert [len(piece) for piece in pieces] == [3200, 3200, 3200, 1600]


@pytest.mark.parametrize(
    ("container", "codec", "rate"),
    [("ogg", "libopus", 48000), ("webm", "libopus", 48000), ("mp3", "libmp3lame", 44100)],
)
async def test_other_files_are_decoded_to_16_khz(
    tmp_path: Path, container: str, codec: str, rate: int
) -> None:
    signal = tones(0.5, rate, 300.0, 900.0)
    (tmp_path / "a").write_bytes(encode(signal, rate, container, codec))
    sound = open_file(tmp_path / "a")
    assert (sound.sample_rate, sound.channels) == (16000, 2)
    whole = b"".join(sound.pieces)
    assert 0.5 <= len(whole) / 64000 < 0.6
    left, right = (np.frombuffer(each, "<i2") for each in split(whole, 2))
    for channel, hz in ((left, 300), (right, 900)):
        spectrum = np.abs(np.fft.rfft(channel.astype(float)))
        assert abs(int(spectrum.argmax()) * 16000 / len(channel) - hz) < 20


async def test_what_holds_no_sound_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("ffconcat version 1.0\nfile /etc/hostname\n")
    for name in ("list", "empty"):
        (tmp_path / name).touch()
        with pytest.raises(BadAudio, match="no sound"):
            open_file(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        open_file(tmp_path / "absent.wav")


async def test_a_pipe_is_read_until_its_end_whatever_the_size_of_its_writes() -> None:
    reading, writing = os.pipe()
    sound = open_raw(reading, 8000, 1)
    listening = asyncio.create_task(heard(sound))
    for part in (b"x" * 7, b"y" * 3000, b"z" * 12):
        os.write(writing, part)
    os.close(writing)
    pieces = await listening
    os.close(reading)
    assert b"".join(pieces) == (b"x" * 7 + b"y" * 3000 + b"z" * 12)[:3018]
    assert [len(piece) for piece in pieces] == [1600, 1418]


async def test_a_silent_pipe_keeps_nobody_from_stopping() -> None:
    reading, writing = os.pipe()
    stop = asyncio.Event()
    listening = asyncio.create_task(heard(open_raw(reading, 8000, 1), stop))
    stop.set()
    async with asyncio.timeout(2):
        assert await listening == []
    os.close(writing)
    os.close(reading)


def test_channels_are_split_and_mixed() -> None:
    both = np.array([[100, 300], [-2, -4]], "<i2").tobytes()
    assert [np.frombuffer(each, "<i2").tolist() for each in split(both, 2)] == [
        [100, -2],
        [300, -4],
    ]
    assert np.frombuffer(mix(both, 2), "<i2").tolist() == [200, -3]
    assert mix(b"mono", 1) == b"mono"


@pytest.mark.skipif(
    importlib.util.find_spec("sounddevice") is not None, reason="sounddevice is installed here"
)
def test_a_microphone_without_its_library_says_what_to_install() -> None:
    with pytest.raises(BadAudio, match="pip install sounddevice"):
        open_microphone()
