"""Wake-ups on Redis or Valkey streams."""

from __future__ import annotations

import asyncio
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import structlog
from redis.exceptions import ResponseError

from interview_agent.adapters.valkey.connection import FAULTS, connect, to_the_end
from interview_agent.domain.errors import QueueError
from interview_agent.domain.route import Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_OUTGOING = 1_000
"""Most hints that wait to be published; more are dropped, since polling finds the work."""

_PUBLISH_TIMEOUT_S = 0.2
_PAUSE_AFTER_FAILURE_S = 1.0
_BLOCK_MS = 1_000
_READ_SPACING_S = 0.02
"""Hints that come so close together are taken together; the first of them has woken everybody."""
_READ_TIMEOUT_S = 5.0
_RECLAIM_EVERY_S = 30.0
_RECLAIM_IDLE_MS = 60_000
_CONSUMER_IDLE_MS = 3_600_000
_DEAD_LETTERS_KEPT = 10_000
_PAGE = 500
_PAGES = 1_000
"""Entries that are read at once, and how often, in search of those that are to go."""


Message = tuple[str, dict[Any, Any], int]

log = structlog.get_logger(__name__)


def _streams(reply: Any) -> list[tuple[str, list[tuple[str, Any]]]]:
    # RESP3 answers with a mapping, RESP2 with a list of pairs.
    if isinstance(reply, dict):
        return [(stream, pages[0] if pages else []) for stream, pages in reply.items()]
    return list(reply or [])


@contextmanager
def _faults() -> Iterator[None]:
    try:
        yield
    except FAULTS as error:
        raise QueueError(details={"cause": type(error).__name__}) from error


class ValkeyWakeQueue:
    """Implements `ports.wake_queue.WakeQueue`; `run_publisher` and `run_reader` are its loops."""

    def __init__(
        self,
        url: str,
        *,
        stages: Sequence[Stage],
        consumer: str,
        max_waiting: int,
        on_failure: Callable[[], None],
    ) -> None:
        self._publisher = connect(url, timeout_s=_PUBLISH_TIMEOUT_S)
        self._reader = connect(url, timeout_s=_READ_TIMEOUT_S, text=True)
        self._consumer = consumer
        self._max_waiting = max_waiting
        self._on_failure = on_failure
        self._outgoing: asyncio.Queue[Message] = asyncio.Queue(_OUTGOING)
        self._events = {stage: asyncio.Event() for stage in stages}

    def notify(self, stage: Stage, meeting_id: str, track: str = "") -> None:
        """Leave a hint without waiting."""
        self._send((stage.stream, {"meeting": meeting_id, "track": track}, self._max_waiting))

    def bury(self, stage: Stage, meeting_id: str, track: str, reason: str) -> None:
        """Mirror work that was given up on."""
        fields = {"meeting": meeting_id, "track": track, "reason": reason}
        self._send((stage.dead_letters, fields, _DEAD_LETTERS_KEPT))

    def _send(self, message: Message) -> None:
        try:
            self._outgoing.put_nowait(message)
        except asyncio.QueueFull:
            self._on_failure()

    async def unbury(self, stage: Stage, meeting_id: str, track: str) -> int:
        """Delete the dead letters of a piece of work."""
        named = {"meeting": meeting_id, "track": track}
        return await self._delete(named, [stage.dead_letters])

    async def forget(self, meeting_id: str) -> int:
        """Delete every entry of a meeting from the streams of all stages."""
        streams = [name for stage in Stage for name in (stage.stream, stage.dead_letters)]
        return await self._delete({"meeting": meeting_id}, streams)

    async def _delete(self, named: Mapping[str, str], streams: Sequence[str]) -> int:
        """Delete the entries that have all these fields. Raises `QueueError`."""
        count = 0
        with _faults():
            for stream in streams:
                count += await to_the_end(self._delete_in(stream, named))
        return count

    async def _delete_in(self, stream: str, named: Mapping[str, str]) -> int:
        count, start = 0, "-"
        # What comes in meanwhile is looked at as well, but not for ever.
        for _ in range(_PAGES):
            entries: Any = await self._reader.xrange(stream, min=start, count=_PAGE)
            if not entries:
                break
            mine = [entry for entry, fields in entries if named.items() <= fields.items()]
            if mine:
                count += await self._reader.xdel(stream, *mine)
            start = f"({entries[-1][0]}"
        return count

    async def wait(self, stage: Stage, timeout_s: float) -> bool:
        """Wait for a hint that there is work of a stage; False: none came for `timeout_s`."""
        event = self._events[stage]
        try:
            async with asyncio.timeout(timeout_s):
                await event.wait()
        except TimeoutError:
            return False
        event.clear()
        return True

    async def ping(self) -> None:
        """Ask the server for a sign of life. Raises `QueueError`."""
        with _faults():
            await to_the_end(self._publisher.ping())

    async def count_hints(self, stage: Stage) -> int:
        """Return how many hints nobody has taken. Raises `QueueError`."""
        with _faults():
            count: int = await to_the_end(self._publisher.xlen(stage.stream))
        return count

    async def eviction_policy(self) -> str:
        """Return what the server does when its memory is full. Raises `QueueError`."""
        with _faults():
            memory = await to_the_end(self._reader.info("memory"))
        return str(memory.get("maxmemory_policy", ""))

    async def run_publisher(self) -> None:
        """Publish what was left by `notify` and `bury`, for ever."""
        while True:
            stream, fields, kept = await self._outgoing.get()
            try:
                await to_the_end(
                    self._publisher.xadd(stream, fields, maxlen=kept, approximate=True)
                )
            except FAULTS as error:
                self._on_failure()
                log.warning("wake_not_published", stream=stream, cause=type(error).__name__)
                await asyncio.sleep(_PAUSE_AFTER_FAILURE_S)

    async def run_reader(self, stage: Stage) -> None:
        """Turn entries of the stream of a stage into wake-ups of this process, for ever."""
        reclaimed_at = float("-inf")
        while True:
            try:
                if time.monotonic() - reclaimed_at > _RECLAIM_EVERY_S:
                    await to_the_end(self._make_group(stage))
                    await to_the_end(self._reclaim(stage))
                    reclaimed_at = time.monotonic()
                if await to_the_end(self._read(stage)):
                    await asyncio.sleep(_READ_SPACING_S)
            except FAULTS as error:
                # An emptied server has lost the group; it is made again on the next turn.
                reclaimed_at = float("-inf")
                log.warning("wakes_not_read", stage=stage.value, cause=type(error).__name__)
                await asyncio.sleep(_PAUSE_AFTER_FAILURE_S)

    async def _make_group(self, stage: Stage) -> None:
        try:
            await self._reader.xgroup_create(stage.stream, stage.group, id="0", mkstream=True)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise

    async def _read(self, stage: Stage) -> int:
        reply: Any = await self._reader.xreadgroup(
            stage.group, self._consumer, {stage.stream: ">"}, count=64, block=_BLOCK_MS
        )
        taken = 0
        for _, entries in _streams(reply):
            await self._take(stage, [entry_id for entry_id, _ in entries])
            taken += len(entries)
        return taken

    async def _reclaim(self, stage: Stage) -> None:
        reply: Any = await self._reader.xautoclaim(
            stage.stream, stage.group, self._consumer, min_idle_time=_RECLAIM_IDLE_MS, count=1000
        )
        await self._take(stage, [entry_id for entry_id, _ in reply[1]])
        for consumer in await self._reader.xinfo_consumers(stage.stream, stage.group):
            if consumer["idle"] > _CONSUMER_IDLE_MS and consumer["name"] != self._consumer:
                await self._reader.xgroup_delconsumer(stage.stream, stage.group, consumer["name"])

    async def _take(self, stage: Stage, entry_ids: Sequence[str]) -> None:
        # What an entry says does not matter: whoever wakes looks at the rows. So it is acked and
        # trimmed at once, and a stream holds nothing but what nobody has seen yet.
        if entry_ids:
            self._events[stage].set()
            async with self._reader.pipeline(transaction=False) as commands:
                commands.xack(stage.stream, stage.group, *entry_ids)
                commands.xdel(stage.stream, *entry_ids)
                await commands.execute()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._publisher.aclose()
        await self._reader.aclose()
