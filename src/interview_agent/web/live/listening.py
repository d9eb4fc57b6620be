"""The meetings that one socket follows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from interview_agent.domain.errors import AgentError, TooManyMeetings
from interview_agent.pipeline.feed import Retracted, StatusChanged, Updated
from interview_agent.web.live.messages import feed_message

if TYPE_CHECKING:
    from interview_agent.domain.identity import Identity
    from interview_agent.pipeline.feed import Feed, FeedItem
    from interview_agent.web.live.outbox import Outbox

MAX_MEETINGS = 16

Spawn = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]


@dataclass(slots=True)
class _Followed:
    """A meeting with the last event that was sent of it; `cursor` None: from now on."""

    meeting_id: str
    cursor: int | None
    partials: bool
    opened: asyncio.Future[None]
    on_open: Callable[[int], None]
    pump: asyncio.Task[None] | None = None


class Listening:
    """Pulls from the feeds of a few meetings, each only as fast as the client reads.

    `shows` chooses the items that this client is told of; `on_failure` is called with the meeting
    and the error that ended a feed which had begun, and may end the socket.
    """

    def __init__(
        self,
        feed: Feed,
        caller: Identity,
        outbox: Outbox,
        spawn: Spawn,
        *,
        shows: Callable[[FeedItem], bool],
        on_failure: Callable[[str, AgentError], None],
    ) -> None:
        self._feed = feed
        self._caller = caller
        self._outbox = outbox
        self._spawn = spawn
        self._shows = shows
        self._on_failure = on_failure
        self._followed: dict[str, _Followed] = {}

    def __len__(self) -> int:
        return len(self._followed)

    async def follow(
        self,
        meeting_id: str,
        *,
        after: int | None,
        partials: bool | None = None,
        on_open: Callable[[int], None] = lambda newest: None,  # noqa: ARG005
    ) -> None:
        """Follow a meeting from after an event on; one that is followed already begins anew.

        `after` None goes on where it was, or from now; `partials` None leaves that as it was, or
        shows them. `on_open` gets the newest event number before anything of the feed is sent.
        Raises `NotFound`, `TooManyMeetings` and `DatabaseError`.
        """
        before = self._stopped(meeting_id)
        if before is not None:
            after = before.cursor if after is None else after
            partials = before.partials if partials is None else partials
        if len(self._followed) >= MAX_MEETINGS:
            raise TooManyMeetings(details={"limit": MAX_MEETINGS})
        followed = _Followed(
            meeting_id=meeting_id,
            cursor=after,
            partials=partials is not False,
            opened=asyncio.get_running_loop().create_future(),
            on_open=on_open,
        )
        self._followed[meeting_id] = followed
        followed.pump = self._spawn(self._pump(followed))
        await followed.opened

    def _stopped(self, meeting_id: str) -> _Followed | None:
        followed = self._followed.pop(meeting_id, None)
        if followed is not None and followed.pump is not None:
            followed.pump.cancel()
        return followed

    async def _pump(self, followed: _Followed) -> None:
        try:
            await self._send_all(followed)
        except AgentError as error:
            if self._followed.get(followed.meeting_id) is followed:
                del self._followed[followed.meeting_id]
            if followed.opened.done():
                self._on_failure(followed.meeting_id, error)
            else:
                followed.opened.set_exception(error)

    async def _send_all(self, followed: _Followed) -> None:
        stream = self._feed.follow(
            self._caller, followed.meeting_id, after=followed.cursor, partials=followed.partials
        )
        async with aclosing(stream):
            async for item in stream:
                if not followed.opened.done():
                    self._begin(followed, item)
                if self._shows(item):
                    await self._outbox.offer(feed_message(followed.meeting_id, item))
                if isinstance(item, Updated | Retracted):
                    followed.cursor = item.event

    @staticmethod
    def _begin(followed: _Followed, first: FeedItem) -> None:
        newest = first.event if isinstance(first, StatusChanged) else 0
        if followed.cursor is None:
            followed.cursor = newest
        followed.on_open(newest)
        followed.opened.set_result(None)
