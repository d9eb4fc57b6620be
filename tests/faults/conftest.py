"""Servers of a test's own, to be stopped, killed and frozen as it likes."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest_asyncio

from fault_servers import OwnServers
from memory_folder import memory_folder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest_asyncio.fixture
async def own() -> AsyncIterator[OwnServers]:
    """A PostgreSQL, a Valkey and processes that use them, for one test alone."""
    folder = memory_folder("faults")
    servers = OwnServers(folder)
    try:
        await servers.start()
        yield servers
    finally:
        await servers.close()
        shutil.rmtree(folder)
