"""How long to wait before the next try."""

from __future__ import annotations

MAX_ATTEMPTS = 5
"""Claims of the same work without progress before it is given up on."""

_BASE_S = 1.0
_LIMIT_S = 60.0


def backoff_s(
    attempt: int, jitter: float, *, base_s: float = _BASE_S, limit_s: float = _LIMIT_S
) -> float:
    """Return the pause after try number `attempt` (from 1): jitter under a doubling limit.

    `jitter` is a random number from 0 to 1; half of the limit is the least. The limit begins at
    `base_s` and ends at `limit_s`.
    """
    # The exponent is bounded too: a float cannot hold the power of a client that tries for a day.
    doubled_s = base_s * 2.0 ** min(max(attempt - 1, 0), 30)
    return min(limit_s, doubled_s) * (0.5 + 0.5 * jitter)
