"""Audio made at test time: plain signals, and their encodings by libav."""

from __future__ import annotations

import itertools
import struct
import tempfile
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

Signal = npt.NDArray[np.float64]
"""Samples from -1 to 1, shape (channels, n)."""

FRAME = 1024


def tones(seconds: float, rate: int, *hz: float) -> Signal:
    """One channel with a pulsing tone for each frequency."""
    t = np.arange(int(seconds * rate)) / rate
    return np.stack([0.3 * np.sin(2 * np.pi * f * t) * (np.sin(4 * np.pi * t) > 0) for f in hz])


def pcm(signal: Signal) -> bytes:
    """s16le, interleaved."""
    return (signal.T * 32767).astype("<i2").tobytes()


def wav(signal: Signal, rate: int, claimed_bytes: int | None = None) -> bytes:
    """A plain wav; `claimed_bytes` is what its header says of the data instead of the truth."""
    body, channels = pcm(signal), len(signal)
    size = len(body) if claimed_bytes is None else claimed_bytes
    riff = min(size + 36, 0xFFFF_FFFF)
    layout = struct.pack("<IHHIIHH", 16, 1, channels, rate, 2 * channels * rate, 2 * channels, 16)
    return (
        struct.pack("<4sI4s4s", b"RIFF", riff, b"WAVE", b"fmt ")
        + layout
        + struct.pack("<4sI", b"data", size)
        + body
    )


def encode(signal: Signal, rate: int, container: str, codec: str, **options: str) -> bytes:
    """Encode with libav; `options` are those of the muxer."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "encoded"
        with av.open(str(path), "w", format=container, options=options) as output:
            layout = "mono" if len(signal) == 1 else "stereo"
            stream: Any = output.add_stream(
                codec, rate=rate, layout=layout, options={"strict": "experimental"}
            )
            samples = (signal * 32767).astype("<i2")
            for start in range(0, samples.shape[1], FRAME):
                block = np.ascontiguousarray(samples[:, start : start + FRAME].T.reshape(1, -1))
                frame = av.AudioFrame.from_ndarray(block, format="s16", layout=layout)
                frame.sample_rate = rate
                frame.pts = start
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
        return path.read_bytes()


ENCODERS: dict[str, tuple[str, str, dict[str, str]]] = {
    "wav": ("wav", "pcm_s16le", {}),
    "ogg": ("ogg", "libopus", {}),
    "ogg vorbis": ("ogg", "vorbis", {}),
    "webm": ("webm", "libopus", {}),
    "webm slices": ("webm", "libopus", {"live": "1", "cluster_time_limit": "500"}),
    "mp3": ("mp3", "libmp3lame", {}),
    "flac": ("flac", "flac", {}),
    "aac": ("adts", "aac", {}),
    "m4a": ("ipod", "aac", {}),
    "m4a faststart": ("ipod", "aac", {"movflags": "+faststart"}),
    "mp4 fragments": (
        "mp4",
        "aac",
        {"movflags": "+frag_keyframe+empty_moov+default_base_moof", "frag_duration": "500000"},
    ),
}
"""Muxer, codec and muxer options of every kind of audio that is understood."""


def encode_as(kind: str, signal: Signal, rate: int = 48_000) -> bytes:
    """Encode as one of ENCODERS."""
    container, codec, options = ENCODERS[kind]
    return encode(signal, rate, container, codec, **options)


def cut(data: bytes, *places: int) -> list[bytes]:
    """Cut bytes at some places."""
    edges = [0, *sorted(places), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges)]


def resampled(signal: Signal, rate: int, wanted_rate: int) -> Signal:
    """Return the same sound at another rate."""
    layout = "mono" if len(signal) == 1 else "stereo"
    resampler = av.AudioResampler(format="s16p", layout=layout, rate=wanted_rate)
    samples = np.ascontiguousarray((signal * 32767).astype("<i2"))
    frame = av.AudioFrame.from_ndarray(samples, format="s16p", layout=layout)
    frame.sample_rate = rate
    blocks = [each.to_ndarray() for each in (*resampler.resample(frame), *resampler.resample(None))]
    return np.concatenate(blocks, axis=1) / 32768
