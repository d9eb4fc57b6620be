"""A database with the stores that work on it, alone and with what looks at it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from feed_stand import Stand
from operations_room import Room
from work_bench import Bench

if TYPE_CHECKING:
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
