"""The machine room before stores that hang or break."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from admin_stand_ins import STORAGE, Hints, NoRows, audit_trail
from interview_agent.domain.errors import StorageError
from interview_agent.pipeline.operations import Operations
from memory_audit import MemoryAuditStore


class Store:
    """A store whose probe hangs until it is let go, and then ends as told."""

    def __init__(self) -> None:
        self.asked = 0
        self.go = asyncio.Event()
        self.fault: Exception | None = None

    async def check(self) -> None:
        self.asked += 1
        await self.go.wait()
        if self.fault:
            raise self.fault


def operations(store: Any) -> Operations:
    rows: Any = NoRows()
    hints = Hints()
    trail = audit_trail(MemoryAuditStore())
    return Operations(
        rows, rows, hints, hints, store, trail, storage=STORAGE, probe_patience_s=0.05
    )


async def test_a_store_that_hangs_is_told_of_in_time_and_probed_once_for_all_who_ask() -> None:
    store = Store()
    room = operations(store)
    answers = await asyncio.gather(*(room.storage() for _ in range(20)))
    answers.append(await room.storage())
    assert {each["error"] for each in answers} == {"storage_timeout"}
    assert store.asked == 1
    store.go.set()
    assert (await room.storage())["healthy"] is True
    assert (await room.storage())["healthy"] is True
    assert store.asked == 2


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (StorageError(details={"cause": "ENOSPC"}), "storage_error: ENOSPC"),
        (StorageError("in /secret/folder"), "storage_error"),
        (RuntimeError("in /secret/folder"), "internal"),
    ],
)
async def test_a_fault_of_the_store_is_a_code_without_its_text(
    fault: Exception, error: str
) -> None:
    store = Store()
    store.go.set()
    store.fault = fault
    found = await operations(store).storage()
    assert (found["healthy"], found["error"]) == (False, error)
