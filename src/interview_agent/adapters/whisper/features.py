"""Log-mel features of a window, equal to those of the whole recording."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from interview_agent.ports.speech import FRAME, SpeechWindow

Features = npt.NDArray[np.float32]
"""Log-mel values, shape (mels, frames)."""

DYNAMIC_RANGE = 8.0
"""Everything more than 80 dB below the loudest value is raised to there."""


def log_mel(extractor: Any, window: SpeechWindow) -> Features:
    """Return log10-mel values of the window's frames, not yet scaled.

    The steps are those of `FeatureExtractor.__call__` of faster-whisper 1.2, less the scaling.
    Real sound around the window takes the place of the reflection at its borders; at the end of
    the speech the library's own padding is applied, and one frame more than `window.frames` is
    returned, as the library has it.
    """
    samples = np.pad(window.samples, (0, FRAME)) if window.ends else window.samples
    hann = np.hanning(extractor.n_fft + 1)[:-1].astype(np.float32)
    spectrum = extractor.stft(
        samples, extractor.n_fft, extractor.hop_length, window=hann, return_complex=True
    ).astype(np.complex64)
    power = np.abs(spectrum[..., :-1]) ** 2
    mel = np.log10(np.clip(extractor.mel_filters @ power, a_min=1e-10, a_max=None))
    stop = window.lead_frames + window.frames + (1 if window.ends else 0)
    frames: Features = mel[:, window.lead_frames : stop]
    return frames


def scaled(log_mels: Features, loudest: float) -> Features:
    """Return what the network expects: the dynamic range limited, then (x + 4) / 4."""
    limited = np.maximum(log_mels, np.float32(loudest - DYNAMIC_RANGE))
    result: Features = (limited + np.float32(4.0)) / np.float32(4.0)
    return result
