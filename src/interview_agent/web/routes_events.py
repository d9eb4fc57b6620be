"""What happens in a meeting as a stream of server-sent events."""

from __future__ import annotations

from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING

from aiohttp import web

from interview_agent.domain.errors import MeetingGone
from interview_agent.domain.policy import Need
from interview_agent.pipeline.feed import FeedItem, Retracted, StatusChanged, Updated
from interview_agent.web.event_stream import HEADERS, MEDIA_TYPE, event_text, send_events
from interview_agent.web.live import replies
from interview_agent.web.live.messages import feed_message
from interview_agent.web.route import Call, Route
from interview_agent.web.schemas import EventsHeaders, EventsQuery

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator


async def follow_meeting(call: Call) -> web.StreamResponse:
    """Tell a listener what changes, from the last event that it has."""
    query: EventsQuery = call.query
    headers: EventsHeaders = call.headers
    # A browser that connects again repeats its address and knows better in the header.
    after = query.last_event if headers.last_event_id is None else headers.last_event_id
    feed = call.parts.feed.follow(
        call.caller, call.meeting_id, after=after, partials=query.partials
    )
    async with aclosing(feed) as items:
        # What is refused is refused before the answer begins.
        first = await anext(items)
        if call.request.method == "HEAD":
            return web.Response(headers=HEADERS)
        with call.gate.holding(call.visit):
            async with aclosing(_texts(call.meeting_id, after, first, items)) as texts:
                return await send_events(
                    call.request,
                    texts,
                    call.parts.streams,
                    partial(call.parts.authenticator.lapsed, call.caller),
                )


async def _texts(
    meeting_id: str, after: int | None, first: FeedItem, items: AsyncIterator[FeedItem]
) -> AsyncGenerator[bytes, None]:
    """Write each item; its id is the number of the event up to which the listener has all."""
    told = after if after is not None or not isinstance(first, StatusChanged) else first.event
    yield _text(meeting_id, first, told)
    try:
        async for item in items:
            if isinstance(item, Updated | Retracted):
                told = item.event
            numbered = isinstance(item, Updated | Retracted | StatusChanged)
            yield _text(meeting_id, item, told if numbered else None)
    except MeetingGone as error:
        message = replies.error(error, meeting_id=meeting_id)
        yield event_text(message, event_type=message["event_type"], event_id=None)


def _text(meeting_id: str, item: FeedItem, event_id: int | None) -> bytes:
    message = feed_message(meeting_id, item)
    return event_text(message, event_type=message["event_type"], event_id=event_id)


EVENT_ROUTES: tuple[Route, ...] = (
    Route(
        "GET",
        "/v1/meetings/{meeting_id}/events",
        follow_meeting,
        "Follow a meeting: captions, changes of the transcript, status, as server-sent events",
        None,
        media_type=MEDIA_TYPE,
        query=EventsQuery,
        headers=EventsHeaders,
        errors=(404,),
        need=Need.MEETING_READ,
    ),
)
"""Every route that streams."""
