"""Sound of one session, page after page, into the accept path."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import structlog

from interview_agent.domain.errors import AgentError, ConsentDenied, Fault, MeetingGone
from interview_agent.domain.identity import Identity, Kind
from interview_agent.domain.pulled_audio import ROOM, GatewayNumber, key_of
from interview_agent.domain.upload import AudioForm, PullMark, Upload, check_upload
from interview_agent.ports.connector_pull import PulledChunk

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from interview_agent.ports.connector import Connector, LiveChunk, LivePage
    from interview_agent.ports.connector_pull import ConnectorPulls, PullClaim, PulledPlace
    from interview_agent.ports.intake import Receipt

OURSELVES = Identity("connector", "connector", Kind.SERVICE)
"""Who sends what was pulled."""

_MOST_PAGES = 100
"""Of one drain; what a gateway has beyond them is asked for the next time."""

_REFUSES_MEETING = (ConsentDenied, MeetingGone)

log = structlog.get_logger(__name__)


class Taken(Protocol):
    """What the accept path answers."""

    @property
    def receipt(self) -> Receipt:
        """The durable answer."""
        ...


class Door(Protocol):
    """The accept path of all audio."""

    async def chunk(self, caller: Identity, upload: Upload, body: bytes) -> Taken:
        """Make one chunk durable."""
        ...

    async def finish(
        self, caller: Identity, meeting_id: str, expected_last_seq: Mapping[str, int]
    ) -> object:
        """Say that the meeting is over."""
        ...


@dataclass(slots=True)
class Drained:
    """What came of a drain: chunks that are new, and those that were none or had no place.

    It `turned` when the gateway's cursor did not move on, or came back to where it had been. There
    may be `more` when as many pages were taken as one drain takes.
    """

    ingested: int = 0
    invalid: int = 0
    turned: bool = False
    more: bool = False


@dataclass(frozen=True, slots=True)
class DrainParts:
    """What sessions are drained with.

    `live` captions the sound while it comes. A page has `batch_limit` chunks at most, and asking
    for it takes `call_s` at most. `on_delay` is told the seconds from the capture of a chunk to its
    acceptance, by the clocks of both sides.
    """

    connector: Connector
    pulls: ConnectorPulls
    door: Door
    live: bool = True
    batch_limit: int = 20
    call_s: float = 10.0
    on_delay: Callable[[float], None] = field(default=lambda _: None)


class SessionDrain:
    """Takes over what a gateway has of one session, behind the fence of a claim."""

    def __init__(self, parts: DrainParts, claim: PullClaim) -> None:
        self._parts = parts
        self._claim = claim
        self._cursor = claim.cursor

    async def drain(self) -> Drained:
        """Take pages until one is empty, or there were many.

        Raises `ConnectorError`, `ConsentDenied`, `MeetingGone`, `LeaseLost`, and what else keeps
        the accept path from taking a chunk now: the cursor stands before its page then.
        """
        drained, seen = Drained(), {self._cursor}
        for _ in range(_MOST_PAGES):
            page = await self._parts.connector.live_chunks(
                self._claim.meeting_id,
                self._cursor,
                limit=self._parts.batch_limit,
                deadline_s=self._parts.call_s,
            )
            empty = not page.chunks and not page.invalid
            if empty and page.next_cursor in (self._cursor, None):
                break
            await self._take(page, drained)
            if self._cursor in seen:
                drained.turned = True
                log.warning("gateway_cursor_turned", meeting_id=self._claim.meeting_id)
                break
            seen.add(self._cursor)
        else:
            drained.more = True
        return drained

    async def _take(self, page: LivePage, drained: Drained) -> None:
        """Accept the chunks of a page; the cursor moves with the last of them."""
        moves_to = page.next_cursor if page.next_cursor != self._cursor else None
        drained.invalid += page.invalid
        placed = await self._placed(page.chunks, drained)
        moved = False
        for at, (chunk, place) in enumerate(placed, 1):
            cursor = moves_to if at == len(placed) else None
            receipt = await self._accept(chunk, place, cursor)
            if receipt is None:
                drained.invalid += 1
            elif not receipt.duplicate:
                drained.ingested += 1
                moved = cursor is not None
        if moves_to is not None:
            if not moved:
                await self._parts.pulls.move_cursor(self._claim, moves_to)
            self._cursor = moves_to

    async def _placed(
        self, chunks: Sequence[LiveChunk], drained: Drained
    ) -> list[tuple[LiveChunk, PulledPlace]]:
        """Sort chunks as they were said, and leave out those that can have no place."""
        # Those without numbers stay in the order in which they came.
        ordered = sorted(
            (chunk for chunk in chunks if self._is_sound(chunk)),
            key=lambda chunk: (chunk.epoch, math.inf if chunk.seq is None else chunk.seq),
        )
        pulled = [_pulled_chunk(chunk) for chunk in ordered]
        places = await self._parts.pulls.place(self._claim, pulled) if pulled else ()
        placed = [
            (chunk, place)
            for chunk, place in zip(ordered, places, strict=True)
            if place is not None
        ]
        without = len(chunks) - len(placed)
        if without:
            drained.invalid += without
            log.warning(
                "pulled_chunks_without_place", meeting_id=self._claim.meeting_id, count=without
            )
        return placed

    def _is_sound(self, chunk: LiveChunk) -> bool:
        # Before it is numbered: what is refused later would leave a hole.
        try:
            check_upload(Upload(self._claim.meeting_id, seq=0, form=self._form(chunk, None)))
        except AgentError:
            return False
        return bool(chunk.body)

    def _form(self, chunk: LiveChunk, name: str | None) -> AudioForm:
        return AudioForm(
            codec=chunk.codec,
            sample_rate=chunk.sample_rate,
            channels=chunk.channels,
            speaker_hint=name,
            live=self._parts.live,
        )

    async def _accept(
        self, chunk: LiveChunk, place: PulledPlace, cursor: str | None
    ) -> Receipt | None:
        """Store a chunk; None: it will never be stored, which must not keep the others waiting."""
        upload = Upload(
            meeting_id=self._claim.meeting_id,
            seq=place.seq,
            track=place.track,
            form=self._form(chunk, place.name),
            idempotency_key=key_of(chunk.chunk_id),
            pull=PullMark(self._claim.fence, cursor),
        )
        try:
            taken = await self._parts.door.chunk(OURSELVES, upload, chunk.body)
        except _REFUSES_MEETING:
            raise
        except AgentError as error:
            if error.fault is not Fault.CALLER:
                raise
            log.warning(
                "pulled_chunk_refused",
                meeting_id=upload.meeting_id,
                track=upload.track,
                seq=upload.seq,
                code=error.code,
            )
            return None
        if chunk.captured_at_ms is not None and not taken.receipt.duplicate:
            self._parts.on_delay(max(time.time() - chunk.captured_at_ms / 1000, 0.0))
        return taken.receipt


def _pulled_chunk(chunk: LiveChunk) -> PulledChunk:
    number = GatewayNumber(key_of(chunk.chunk_id), chunk.epoch, chunk.seq)
    if chunk.participant is None:
        return PulledChunk(ROOM, None, number)
    return PulledChunk(chunk.participant.participant_id, chunk.participant.name, number)
