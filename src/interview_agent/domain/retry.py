"""How long to wait before the next try."""

from __future__ import annotations

MAX_ATTEMPTS = 5
"""Claims of the same work without progress before it is given up on."""

_BASE_S = 1.0
_LIMIT_S = 60.0


def backoff_s(attempt: int, jitter: float) -> float:
    """Return the pause after try number `attempt` (from 1): full jitter under a doubling limit.

    `jitter` is a random number from 0 to 1; half of the limit is the least.
    """
    limit_s = min(_LIMIT_S, _BASE_S * 2.0 ** max(attempt - 1, 0))
    return limit_s * (0.5 + 0.5 * jitter)
