"""Features and voice of windows equal those that the library finds in the whole recording."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from faster_whisper.feature_extractor import FeatureExtractor
from faster_whisper.vad import get_vad_model

from interview_agent.adapters.whisper.features import log_mel, scaled
from interview_agent.adapters.whisper.voice import find_voice
from interview_agent.ports.speech import FRAME, SpeechWindow

if TYPE_CHECKING:
    from interview_agent.ports.audio import Samples


@pytest.fixture(scope="module")
def sound() -> Samples:
    """Ten seconds and a bit of noise that swells."""
    count = 10 * 16000 + 77
    noise = np.random.default_rng(5).standard_normal(count) * np.linspace(0.0, 0.2, count)
    return noise.astype(np.float32)


def window(sound: Samples, start: int, frames: int) -> SpeechWindow:
    """Cut a window as the timeline does."""
    first, stop = max(0, start - 3), (start + frames + 3) * FRAME
    return SpeechWindow(
        samples=sound[first * FRAME : stop],
        lead_frames=start - first,
        start_frame=start,
        frames=frames,
        ends=sound.size < stop,
    )


@pytest.mark.parametrize(("start", "frames"), [(0, 300), (1, 10), (300, 300), (600, 400)])
def test_features_of_a_window_are_those_of_the_whole(
    sound: Samples, start: int, frames: int
) -> None:
    """Beginning, middle and end, when the loudest moment is known."""
    extractor: Any = FeatureExtractor()
    whole = extractor(sound)
    loudest = float(log_mel(extractor, window(sound, 0, 1000)).max())
    ours = scaled(log_mel(extractor, window(sound, start, frames)), loudest)
    stop = start + frames + (1 if start + frames == 1000 else 0)
    assert ours.dtype == np.float32
    assert ours.shape == whole[:, start:stop].shape
    assert np.abs(ours - whole[:, start:stop]).max() < 1e-4


@pytest.mark.parametrize("steps", [1, 7, 400])
def test_voice_is_the_same_in_any_steps(sound: Samples, steps: int) -> None:
    """The carried state makes calls of any size equal one batch, all but its last step."""
    model = get_vad_model()
    usable = sound[: sound.size // 512 * 512]
    batch = model(usable.copy()).reshape(-1)
    state, found = None, []
    for at in range(0, usable.size, steps * 512):
        some, state = find_voice(model.session, usable[at : at + steps * 512], state)
        found.append(some)
    assert np.abs(np.concatenate(found)[:-1] - batch[:-1]).max() < 1e-5
