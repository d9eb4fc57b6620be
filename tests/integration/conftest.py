"""A database with the stores that work on it, alone and with what looks at it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from erasure_vault import Vault
from feed_stand import Stand
from operations_room import Room
from work_bench import Bench

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from interview_agent.adapters.postgres import Database


@pytest.fixture
def bench(database: Database) -> Bench:
    """Stores on an empty database."""
    return Bench(database)


@pytest.fixture
def stand(database: Database) -> Stand:
    """Stores, and feeds of what they hold."""
    return Stand(database)


@pytest.fixture
def room(database: Database) -> Room:
    """Stores, and an operator's look at them."""
    return Room(database)


@pytest_asyncio.fixture
async def vault(database: Database, dsn: str, tmp_path: Path) -> AsyncIterator[Vault]:
    """A meeting full of secrets, and what erases it."""
    made = Vault(database, dsn, tmp_path / "audio")
    await made.fill()
    yield made
    await made.blobs.aclose()
