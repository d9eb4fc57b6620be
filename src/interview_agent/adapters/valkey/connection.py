"""Connections that fail early, and calls that survive a cancellation."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

if TYPE_CHECKING:
    from collections.abc import Awaitable

FAULTS = (RedisError, OSError, asyncio.TimeoutError)
"""What a server that is away, busy or of another kind makes a call raise."""

_T = TypeVar("_T")


def connect(url: str, *, timeout_s: float, text: bool = False) -> Redis:
    """Make a client none of whose calls takes longer than `timeout_s` or is tried again."""
    return Redis.from_url(
        url,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
        decode_responses=text,
        # What others wrote may be no text at all.
        encoding_errors="replace",
    )


async def to_the_end(call: Awaitable[_T]) -> _T:
    """Await a call to its end even when cancelled: redis-py 8 may swallow a cancellation.

    Every call is bounded by the time-outs of its connection.
    """
    task = asyncio.ensure_future(call)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.gather(task, return_exceptions=True)
        raise
