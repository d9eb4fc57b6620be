"""The slope of the memory of a long stream."""

from __future__ import annotations

import pytest

from captions.process_tree import Usage
from captions.soak import slope_mb_per_min


def test_the_slope_is_in_megabytes_a_minute_whatever_the_noise_round_it() -> None:
    samples = [Usage(30.0 * at, 0.0, 500 + 2.0 * (at / 2) + (-1) ** at, 0.0) for at in range(200)]
    assert slope_mb_per_min(samples) == pytest.approx(2.0, abs=0.01)
