"""Keys that are added and struck while the process runs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from interview_agent.domain.errors import AgentError
from interview_agent.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

Keys = tuple[str, ...]

log = structlog.get_logger(__name__)


async def follow_key_files(
    read: Callable[[], tuple[Keys, Keys]],
    replace: Callable[[Keys, Keys], None],
    *,
    known: tuple[Keys, Keys],
    every_s: float,
) -> None:
    """Read the keys of users and services every `every_s`, for ever, and pass on what changed.

    What cannot be read or used is logged, and the keys stay as they are.
    """
    while True:
        await asyncio.sleep(every_s)
        try:
            found = await asyncio.to_thread(read)
            if found == known:
                continue
            replace(*found)
        except (SettingsError, AgentError) as error:
            log.error("key_files_unusable", cause=str(error))
            continue
        known = found
        log.info("keys_changed", user_keys=len(found[0]), service_keys=len(found[1]))
