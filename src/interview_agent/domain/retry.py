"""How long to wait before the next try."""

from __future__ import annotations

MAX_ATTEMPTS = 5
"""Claims of the same work without progress before it is given up on."""

_BASE_S = 1.0
_LIMIT_S = 60.0


def backoff_s(
    attempt: int,
    jitter: float,
    *,
    base_s: float = _BASE_S,
    most_s: float = _LIMIT_S,
    least: float = 0.5,
) -> float:
    """Return the pause after try number `attempt` (from 1), drawn under a doubling limit.

    The limit begins at `base_s` and ends at `most_s`. `jitter` is a random number from 0 to 1;
    `least` is the share of the limit below which nothing is drawn, 0 for full jitter.
    """
    limit_s = min(most_s, base_s * 2.0 ** max(min(attempt, 64) - 1, 0))
    return limit_s * (least + (1.0 - least) * jitter)
