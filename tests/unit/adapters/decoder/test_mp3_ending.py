"""What the header of an mp3 says of its end, and what a broken header cannot do."""

from __future__ import annotations

import pytest

from encoded_audio import encode_as, tones
from interview_agent.adapters.decoder.mp3_ending import silence_at_end

RATE = 16_000


def head() -> bytes:
    return encode_as("mp3", tones(0.5, RATE, 440.0), RATE)[:2000]


def test_the_silence_ends_with_the_last_frame_and_is_no_longer_than_two() -> None:
    """Half a second is 14 frames of 576 samples, one of them for the delay of the encoder."""
    silence = silence_at_end(head())
    assert silence is not None
    assert silence.stop % 576 == 0
    assert 0 < len(silence) < 2 * 576
    sound = silence.start - 1105
    assert sound == RATE // 2


@pytest.mark.parametrize("length", [0, 1, 3, 4, 10, 40, 60, 70, 150, 190])
def test_a_header_that_breaks_off_says_nothing(length: int) -> None:
    """No length of it is an error."""
    silence = silence_at_end(head()[:length])
    assert silence is None or silence == silence_at_end(head())


def test_a_stream_that_does_not_know_its_length_keeps_every_sample() -> None:
    """A live encoder writes the header before it knows how many frames come."""
    known = head()
    at = known.index(b"Info")
    assert silence_at_end(known[: at + 8] + bytes(4) + known[at + 12 :]) is None
    assert silence_at_end(known[at + 1000 :]) is None
    assert silence_at_end(b"RIFF" + known) is None
