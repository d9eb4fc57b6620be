"""Reads server-sent events as a browser does."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

_NO_END = aiohttp.ClientTimeout(total=None, sock_connect=10)


@dataclass
class Told:
    """One event: its number if it has one, its type, its message."""

    event_id: int | None
    event_type: str
    message: dict[str, Any]


@dataclass
class EventStream:
    """What came on one connection so far."""

    told: list[Told] = field(default_factory=list)
    comments: int = 0
    ended: bool = False

    @property
    def last_event_id(self) -> int | None:
        """What a browser would send when it connects again."""
        return next((each.event_id for each in reversed(self.told) if each.event_id), None)

    @property
    def events(self) -> list[int]:
        """The numbers of the changes of the transcript."""
        changes = ("transcript.update", "transcript.retract")
        return [each.message["event"] for each in self.told if each.event_type in changes]

    async def until(self, check: Callable[[EventStream], object], timeout_s: float = 20.0) -> None:
        """Wait until what came fulfils `check`."""
        try:
            async with asyncio.timeout(timeout_s):
                while not check(self):
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError((self.told[-3:], self.events, self.ended)) from None

    async def read(self, content: aiohttp.StreamReader) -> None:
        """Take everything until the stream ends."""
        fields: dict[str, str] = {}
        try:
            async for line in content:
                text = line.decode().rstrip("\n")
                if text.startswith(":"):
                    self.comments += 1
                elif text:
                    name, _, value = text.partition(": ")
                    fields[name] = value
                elif fields:
                    self.told.append(_told(fields))
                    fields = {}
        except aiohttp.ClientError:
            pass
        finally:
            self.ended = True


def _told(fields: Mapping[str, str]) -> Told:
    event_id = int(fields["id"]) if "id" in fields else None
    message = json.loads(fields["data"])
    assert message["event_type"] == fields["event"]
    return Told(event_id, fields["event"], message)


@asynccontextmanager
async def event_stream(
    address: str, meeting_id: str, headers: Mapping[str, str], **query: str
) -> AsyncIterator[EventStream]:
    """Connect and read in the background."""
    url = f"{address}/v1/meetings/{meeting_id}/events"
    async with (
        aiohttp.ClientSession(timeout=_NO_END, read_bufsize=2**20) as session,
        session.get(url, headers=headers, params=query) as answer,
    ):
        assert answer.status == 200, await answer.text()
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        stream = EventStream()
        reading = asyncio.create_task(stream.read(answer.content))
        try:
            yield stream
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
