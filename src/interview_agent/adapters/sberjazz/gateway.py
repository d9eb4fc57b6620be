"""A gateway over HTTP, as `config/contracts/sberjazz-gateway.v1.yaml` describes it."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar

from interview_agent.adapters.sberjazz.answer import failure_of
from interview_agent.adapters.sberjazz.calls import Call
from interview_agent.adapters.sberjazz.readings import (
    MAX_PAGE_CHUNKS,
    read_health,
    read_page,
    read_session,
    refusal_in,
)
from interview_agent.domain.connector import EndReason, SessionState
from interview_agent.ports.connector import Connector, GatewayHealth, GatewaySession

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from interview_agent.adapters.sberjazz.answer import Answer
    from interview_agent.adapters.sberjazz.calls import GatewayCalls
    from interview_agent.adapters.sberjazz.retries import Retries
    from interview_agent.ports.connector import JoinOrder, LivePage

Read = TypeVar("Read")

NO_BOT = ("meeting_not_found", "no_session")
"""Codes of a 404 that speak of the meeting; any other 404 speaks of the path."""

_NO_SUCH_PATH = (
    HTTPStatus.NOT_FOUND,
    HTTPStatus.METHOD_NOT_ALLOWED,
    HTTPStatus.NOT_IMPLEMENTED,
)
_GONE = (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)
_NOT_A_REFUSAL = (HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS)
_SMALL_BYTES = 2**16


@dataclass(frozen=True, slots=True)
class AnswerLimits:
    """Most bytes of a decoded chunk; a page of sound may take what one chunk does, and `page`."""

    chunk_bytes: int = 16 * 2**20
    page_bytes: int = 8 * 2**20

    @property
    def live_bytes(self) -> int:
        """Most bytes of an answer with sound, which carries base64."""
        return max(self.chunk_bytes * 4 // 3 + 2**20, self.page_bytes)


class SberjazzGateway(Connector):
    """Implements `ports.connector.Connector` for one gateway."""

    provider = "sberjazz"

    def __init__(
        self, calls: GatewayCalls, retries: Retries, *, limits: AnswerLimits | None = None
    ) -> None:
        self._calls = calls
        self._retries = retries
        self._limits = limits or AnswerLimits()

    @property
    def gateway(self) -> str:
        """The base address."""
        return self._calls.base

    async def join(self, order: JoinOrder, *, deadline_s: float) -> GatewaySession:
        """Send a bot; a refusal that names why is a failed session."""
        wishes = {
            "join_url": order.join_url,
            "bot_name": order.bot_name,
            "language": order.language,
        }
        answer = await self._retries.send(
            Call(
                "POST",
                "join",
                order.meeting_id,
                key=order.idempotency_key,
                body={name: value for name, value in wishes.items() if value is not None},
            ),
            deadline_s=deadline_s,
        )
        refusal = _refusal_of(answer)
        if refusal is not None:
            return GatewaySession(SessionState.FAILED, refusal)
        return await self._read(answer, "join", partial(read_session, default=SessionState.ACTIVE))

    async def leave(self, meeting_id: str, *, deadline_s: float) -> None:
        """Call the bot back."""
        # A key of its own for each leaving: the answer to an earlier one would call nobody back.
        call = Call("POST", "leave", meeting_id, key=secrets.token_hex(16), body={})
        answer = await self._retries.send(call, deadline_s=deadline_s)
        if answer.status in _GONE or (answer.succeeded and not answer.body):
            return
        await self._read(answer, "leave", lambda _: None)

    async def session(self, meeting_id: str, *, deadline_s: float) -> GatewaySession | None:
        """Ask how the bot is."""
        call = Call("GET", "session", meeting_id)
        answer = await self._retries.send(call, deadline_s=deadline_s)
        if answer.status in _NO_SUCH_PATH:
            if answer.error_code in NO_BOT:
                return GatewaySession(SessionState.ENDED, EndReason.LOST)
            return None
        return await self._read(answer, "session", partial(read_session, default=None))

    async def live_chunks(
        self, meeting_id: str, cursor: str | None, *, limit: int, deadline_s: float
    ) -> LivePage:
        """Ask for sound."""
        query = {"limit": str(max(min(limit, MAX_PAGE_CHUNKS), 1))}
        if cursor is not None:
            query["cursor"] = cursor
        call = Call(
            "GET",
            "live-chunks",
            meeting_id,
            query=query,
            answer_max_bytes=self._limits.live_bytes,
        )
        answer = await self._retries.send(call, deadline_s=deadline_s)
        return await self._read(
            answer,
            "live-chunks",
            partial(read_page, asked=cursor, chunk_max_bytes=self._limits.chunk_bytes),
        )

    async def health(self, *, deadline_s: float) -> GatewayHealth:
        """Ask once."""
        answer = await self._calls.send(Call("GET", "health"), deadline_s)
        if answer.succeeded and not answer.body:
            return GatewayHealth(healthy=True)
        return await self._read(answer, "health", read_health)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._calls.aclose()

    async def _read(
        self, answer: Answer, operation: str, read: Callable[[Mapping[str, Any]], Read]
    ) -> Read:
        if not answer.succeeded:
            raise failure_of(answer, operation)
        if len(answer.body) <= _SMALL_BYTES:
            return read(answer.document())
        return await asyncio.to_thread(lambda: read(answer.document()))


def _refusal_of(answer: Answer) -> EndReason | None:
    is_refusal = (
        HTTPStatus.BAD_REQUEST <= answer.status < HTTPStatus.INTERNAL_SERVER_ERROR
        and answer.status not in _NOT_A_REFUSAL
    )
    return refusal_in(answer.error_code) if is_refusal else None
