"""What the sender of a live track is told about its sound, and when that is over."""

from __future__ import annotations

import numpy as np

from interview_agent.domain.live import AlertCode
from interview_agent.ports.audio import SAMPLE_RATE
from interview_agent.stt.sound_watch import SoundWatch


def seconds(count: float, level: float = 0.1) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.full(int(count * SAMPLE_RATE), level, np.float32)


def test_nothing_is_wrong_with_speech() -> None:
    watch = SoundWatch()
    for _ in range(60):
        watch.hear(seconds(1))
        watch.voice(0.2)
    assert watch.troubles() == {}


def test_silence_is_told_after_a_while_and_counted_from_its_beginning() -> None:
    watch = SoundWatch()
    watch.hear(seconds(10))
    watch.voice(2.0)
    for _ in range(28):
        watch.hear(seconds(1))
        assert watch.troubles() == {}
    watch.hear(seconds(2))
    assert watch.troubles() == {AlertCode.NO_SPEECH: 32.0}
    watch.hear(seconds(5))
    assert watch.troubles() == {AlertCode.NO_SPEECH: 37.0}
    watch.voice(0.0)
    watch.hear(seconds(1))
    assert watch.troubles() == {}


def test_clipping_is_told_and_ends_with_clean_sound() -> None:
    watch = SoundWatch()
    watch.hear(seconds(5, 1.0))
    assert AlertCode.CLIPPING in watch.troubles()
    watch.hear(seconds(5, -1.0))
    assert AlertCode.CLIPPING in watch.troubles()
    watch.hear(seconds(5, 0.9))
    assert watch.troubles() == {}


def test_a_peak_or_two_are_no_clipping() -> None:
    watch = SoundWatch()
    sound = seconds(5)
    sound[100:300] = 1.0
    watch.hear(sound)
    assert watch.troubles() == {}


def test_another_language_is_told_when_it_is_heard_twice_in_a_row() -> None:
    watch = SoundWatch()
    for probability in (-0.9, 0.7, -0.9, -0.5, -0.9):
        watch.language(probability)
        assert watch.troubles() == {}
    watch.language(-0.95)
    assert watch.troubles() == {AlertCode.LANGUAGE_MISMATCH: 0.0}
    watch.language(0.6)
    assert watch.troubles() == {}


def test_lag_is_told_while_it_lasts() -> None:
    watch = SoundWatch()
    watch.hear(seconds(20))
    watch.lag(5.0, too_late=True)
    assert watch.troubles() == {AlertCode.BACKPRESSURE: 5.0}
    watch.hear(seconds(3))
    watch.lag(6.0, too_late=True)
    assert watch.troubles() == {AlertCode.BACKPRESSURE: 8.0}
    watch.lag(0.1, too_late=False)
    assert watch.troubles() == {}
