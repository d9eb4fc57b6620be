"""A bound on how long a request waits for the database."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from interview_agent.domain.errors import DatabaseError

if TYPE_CHECKING:
    from collections.abc import Coroutine

PATIENCE_S = 2.5
"""Longest wait of a sender for the database; a hanging server must not hold requests."""

_T = TypeVar("_T")


def out_of_patience() -> DatabaseError:
    """Return the error of a call that took too long; its outcome is unknown."""
    return DatabaseError(details={"cause": "TimeoutError"})


class Patience:
    """Waits for calls, `patience_s` at most, and leaves those that take longer to themselves."""

    def __init__(self, patience_s: float = PATIENCE_S) -> None:
        self._patience_s = patience_s
        self._abandoned: set[asyncio.Task[Any]] = set()

    async def wait(self, call: Coroutine[Any, Any, _T]) -> _T:
        """Return what the call returns. Raises `DatabaseError` when it takes too long."""
        # A call to a hanging server takes its time to be cancelled, so nobody waits for that.
        task = asyncio.create_task(call)
        try:
            await asyncio.wait({task}, timeout=self._patience_s)
        finally:
            if not task.done():
                task.cancel()
                self._abandoned.add(task)
                task.add_done_callback(self._forget)
        if not task.done():
            raise out_of_patience()
        return task.result()

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._abandoned.discard(task)
        if not task.cancelled():
            task.exception()
