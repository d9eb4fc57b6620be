"""The two questions that a client asks over HTTP when its audio has ended."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from aiohttp import ClientError, ClientTimeout

from interview_agent.client.captions import CaptionLine, plain
from interview_agent.domain.errors import ConnectionLost, Refused

if TYPE_CHECKING:
    from aiohttp import ClientSession

_ANSWER = ClientTimeout(total=15)
_PERIOD_S = 0.5
_PATIENCE_S = 60.0


class MeetingApi:
    """Reads a meeting; a service that is away for a minute is waited for."""

    def __init__(self, http: ClientSession, url: str) -> None:
        self._http = http
        self._url = f"{url.rstrip('/')}/v1/meetings"

    async def until_settled(self, meeting_id: str) -> str:
        """Return `done` or `failed` once the meeting is either."""
        while True:
            status = (await self._get(meeting_id))["status"]
            if status in {"done", "failed"}:
                return str(status)
            await asyncio.sleep(_PERIOD_S)

    async def transcript(self, meeting_id: str) -> list[CaptionLine]:
        """Return every segment in the order in which they were said."""
        segments = (await self._get(f"{meeting_id}/segments"))["segments"]
        return [
            CaptionLine(
                start_s=segment["start"],
                speaker=plain(segment["speaker"] or segment["track"]),
                stands=plain(segment["text"]),
                is_final=True,
            )
            for segment in segments
        ]

    async def _get(self, path: str) -> Any:
        """Raises `Refused`, or `ConnectionLost` after a minute without a good answer."""
        loop = asyncio.get_running_loop()
        ends_s = loop.time() + _PATIENCE_S
        while True:
            try:
                async with self._http.get(f"{self._url}/{path}", timeout=_ANSWER) as answer:
                    if answer.status == HTTPStatus.OK:
                        return await answer.json()
                    if answer.status < HTTPStatus.INTERNAL_SERVER_ERROR:
                        message = f"the meeting cannot be read ({answer.status})"
                        raise Refused(message)
                    reason = f"the service answers with {answer.status}"
            except (ClientError, OSError, TimeoutError) as error:
                reason = str(error) or "the service does not answer"
            if loop.time() > ends_s:
                raise ConnectionLost(reason)
            await asyncio.sleep(_PERIOD_S)
