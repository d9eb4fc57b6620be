"""Follows meetings for listeners: events from the rows, by number; the rest from the broadcast."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from typing import TYPE_CHECKING

import structlog

from interview_agent.domain.errors import (
    AgentError,
    Backpressure,
    DatabaseError,
    ForeignMeeting,
    MeetingGone,
    NotFound,
)
from interview_agent.domain.ids import check_name
from interview_agent.pipeline.feed.hub import Hub, Listener
from interview_agent.pipeline.feed.items import (
    AlertShown,
    FeedItem,
    PartialShown,
    Retracted,
    StatusChanged,
    Updated,
)
from interview_agent.ports.archive import meeting_for

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence

    from interview_agent.domain.identity import Identity
    from interview_agent.domain.transcript import Segment
    from interview_agent.pipeline.feed.hub import Logged
    from interview_agent.ports.archive import Archive, MeetingListItem
    from interview_agent.ports.broadcast import Broadcast

KIND_BY_ITEM: Mapping[type[FeedItem], str] = {
    Updated: "update",
    Retracted: "retract",
    PartialShown: "partial",
    AlertShown: "alert",
    StatusChanged: "status",
}
"""What each kind of item is counted as."""

_POLL_S = 1.0
_SPACING_S = 0.02
"""Least time between two looks at the rows: nudges that come meanwhile share the second one."""

_PAGE_EVENTS = 50
_LOOK_EVENTS = 20
_HUBS_AT_ONCE = 100
_CATCHING_UP_AT_ONCE = 4
_REMEMBERED = 32
_PAUSE_AFTER_FAILURE_S = 1.0

log = structlog.get_logger(__name__)


class Feed:
    """Tells listeners what changes, each at its own pace; `run` is its loop.

    With `pii_masking` user identities get everything masked. `on_listeners` is told how many there
    are, `on_told` the kind of each item, `on_partials_dropped` how many partials nobody gets.
    """

    def __init__(
        self,
        archive: Archive,
        broadcast: Broadcast,
        *,
        pii_masking: bool,
        max_listeners: int = 2_000,
        on_listeners: Callable[[int], None] = lambda _: None,
        on_told: Callable[[str], None] = lambda _: None,
        on_partials_dropped: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._archive = archive
        self._broadcast = broadcast
        self._pii_masking = pii_masking
        self._max_listeners = max_listeners
        self._on_listeners = on_listeners
        self._on_told = on_told
        self._on_partials_dropped = on_partials_dropped
        self._hubs: dict[str, Hub] = {}
        self._silence: dict[Hub, Callable[[], None]] = {}
        self._listeners = 0
        self._wake = asyncio.Event()
        self._refreshing = asyncio.Lock()
        self._catching_up = asyncio.Semaphore(_CATCHING_UP_AT_ONCE)

    async def run(self) -> None:
        """Read the rows of watched meetings when nudged, and every second in case one is lost."""
        while True:
            self._wake.clear()
            try:
                if due := self._due():
                    await self._refresh(due)
            except AgentError as error:
                log.warning("feed_not_refreshed", cause=str(error))
                await asyncio.sleep(_PAUSE_AFTER_FAILURE_S)
            await asyncio.sleep(_SPACING_S)
            await self._nudged()

    def _due(self) -> list[Hub]:
        """Return the meetings to look at now: nudged ones first, then the longest unseen."""
        unseen_since = time.monotonic() - _POLL_S
        due = [
            hub
            for hub in self._hubs.values()
            if hub.meeting is not None and (hub.dirty or hub.looked_at <= unseen_since)
        ]
        return sorted(due, key=lambda hub: (not hub.dirty, hub.looked_at))[:_HUBS_AT_ONCE]

    async def _nudged(self) -> None:
        """Wait for a nudge, until some meeting was unseen for too long."""
        now = time.monotonic()
        seen = [hub.looked_at for hub in self._hubs.values() if hub.meeting is not None]
        try:
            async with asyncio.timeout(min(seen, default=now) + _POLL_S - now):
                await self._wake.wait()
        except TimeoutError:
            return

    async def follow(
        self, caller: Identity, meeting_id: str, *, after: int | None, partials: bool
    ) -> AsyncGenerator[FeedItem, None]:
        """Tell the present status, then everything after event `after` (None: from now on).

        Nothing is buffered for a listener that takes its time: partials that were overtaken are
        left out, events are read again. To be closed by the caller (`contextlib.aclosing`). Raises
        `ValidationFailed` for a bad id, `NotFound` for an absent or foreign meeting, `MeetingGone`
        once it is deleted, `Backpressure` when there are too many listeners, `DatabaseError` at
        first.
        """
        check_name(meeting_id, "meeting_id")
        if self._listeners >= self._max_listeners:
            raise Backpressure
        listener = Listener(
            masked=self._pii_masking and not caller.is_service, wants_partials=partials
        )
        hub = self._enter(meeting_id, listener)
        try:
            await self._load(hub, caller)
            listener.cursor = await self._first_cursor(hub, after)
            async with aclosing(self._items(hub, listener)) as items:
                async for item in items:
                    self._on_told(KIND_BY_ITEM[type(item)])
                    yield item
        finally:
            self._leave(hub, listener)

    def _enter(self, meeting_id: str, listener: Listener) -> Hub:
        hub = self._hubs.get(meeting_id)
        if hub is None:
            hub = self._hubs[meeting_id] = Hub(
                meeting_id, wake=self._wake.set, on_partials_dropped=self._on_partials_dropped
            )
            self._silence[hub] = self._broadcast.listen(meeting_id, hub.take_signal)
        hub.listeners.add(listener)
        self._count_listeners(1)
        return hub

    def _leave(self, hub: Hub, listener: Listener) -> None:
        hub.listeners.discard(listener)
        self._count_listeners(-1)
        if not hub.listeners:
            self._forget(hub)

    def _forget(self, hub: Hub) -> None:
        if self._hubs.get(hub.meeting_id) is hub:
            del self._hubs[hub.meeting_id]
        if silence := self._silence.pop(hub, None):
            silence()

    def _count_listeners(self, change: int) -> None:
        self._listeners += change
        self._on_listeners(self._listeners)

    async def _load(self, hub: Hub, caller: Identity) -> None:
        came_at = time.monotonic()
        async with hub.loading:
            if hub.meeting is None:
                view = await meeting_for(caller, hub.meeting_id, self._archive)
                hub.load(view, await self._archive.segments(hub.meeting_id))
                return
            if not caller.may_see(hub.meeting.owner):
                raise ForeignMeeting
            if hub.looked_at < came_at:
                # It may have been deleted since somebody last looked.
                await self._refresh([hub])
            if hub.gone:
                raise NotFound

    async def _first_cursor(self, hub: Hub, after: int | None) -> int:
        if after is None:
            return hub.event
        if after > hub.event:
            # What another process told the listener may not have been read here yet.
            await self._refresh([hub])
        return max(0, min(after, hub.event))

    async def _items(self, hub: Hub, listener: Listener) -> AsyncGenerator[FeedItem, None]:
        first = hub.status_for(listener)
        if first is not None:
            yield first
        recent: dict[str, Segment | None] = {}
        while not hub.gone:
            listener.changed.clear()
            if listener.cursor < hub.event:
                for logged in await self._logged(hub, listener, recent):
                    listener.cursor = logged.event
                    yield logged
            elif item := hub.status_for(listener) or hub.signal_for(listener):
                yield item
            else:
                await listener.changed.wait()
        raise MeetingGone

    async def _logged(
        self, hub: Hub, listener: Listener, recent: dict[str, Segment | None]
    ) -> Sequence[Logged]:
        kept = hub.tail_after(listener)
        if kept is not None:
            recent.clear()
            return kept
        async with self._catching_up:
            try:
                newest = hub.event
                events = await self._archive.events(hub.meeting_id, listener.cursor, _PAGE_EVENTS)
            except DatabaseError as error:
                log.warning("events_not_read", cause=str(error))
                await asyncio.sleep(_PAUSE_AFTER_FAILURE_S)
                return ()
            if not events:
                # Their texts were deleted.
                listener.cursor = newest
            if not hub.knows(events):
                hub.see(await self._archive.meeting(hub.meeting_id))
            shown: list[Logged] = []
            for event in events:
                # What was told before stands beside what follows it, whatever became of it since.
                shown.append(hub.shown(event, masked=listener.masked, instead=recent))
                recent.pop(event.segment_id, None)
                recent[event.segment_id] = event.segment
                if len(recent) > _REMEMBERED:
                    del recent[next(iter(recent))]
            return shown

    async def _refresh(self, hubs: Sequence[Hub]) -> None:
        async with self._refreshing:
            for hub in hubs:
                hub.dirty, hub.looked_at = False, time.monotonic()
            try:
                found = await self._archive.standings([hub.meeting_id for hub in hubs])
                await self._catch_up([(hub, found.get(hub.meeting_id)) for hub in hubs])
            except AgentError:
                for hub in hubs:
                    hub.dirty = True
                raise

    async def _catch_up(self, standings: Iterable[tuple[Hub, MeetingListItem | None]]) -> None:
        alive: list[tuple[Hub, MeetingListItem]] = []
        for hub, item in standings:
            if item is not None and hub.is_of(item.meeting):
                alive.append((hub, item))
            else:
                hub.end()
                self._forget(hub)
        while behind := [(hub, item) for hub, item in alive if hub.event < item.meeting.event]:
            after = {hub.meeting_id: hub.event for hub, _ in behind}
            changes = await self._archive.changes(after, _LOOK_EVENTS)
            for hub, item in behind:
                events = changes.get(hub.meeting_id)
                if events is None:
                    # Their texts were deleted, and the numbers are told to nobody.
                    hub.event = item.meeting.event
                    continue
                if not hub.knows(events):
                    hub.see(await self._archive.meeting(hub.meeting_id))
                hub.take_events(events)
                await asyncio.sleep(0)
        for hub, item in alive:
            hub.stand(item)
