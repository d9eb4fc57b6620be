"""One call to a gateway over HTTP, however slow, broken or hostile the gateway is."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from aiohttp import (
    ClientError,
    ClientResponseError,
    ClientSession,
    ClientTimeout,
    DummyCookieJar,
    TCPConnector,
)
from yarl import URL

from interview_agent.adapters.sberjazz.answer import ERROR_MAX_BYTES, Answer
from interview_agent.domain.errors import (
    ConnectorInvalidResponse,
    ConnectorTimeout,
    ConnectorUnavailable,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from aiohttp import ClientResponse

_PIECE_BYTES = 2**16


@dataclass(frozen=True, slots=True)
class GatewayAddress:
    """Where a gateway is and how it is reached.

    `token` is a secret. `ca_bundle` holds the only authorities that are trusted, None those of the
    system. `max_connections` bounds what is asked at once; more wait within their time.
    """

    base: str
    token: str | None = field(default=None, repr=False)
    force_ipv4: bool = False
    ca_bundle: Path | None = None
    max_connections: int = 256


@dataclass(frozen=True, slots=True)
class Call:
    """One request: `operation` is the last segment of its path.

    `key` is the `Idempotency-Key`. The body may hold secrets.
    """

    method: str
    operation: str
    meeting_id: str | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    key: str | None = None
    body: Mapping[str, Any] | None = field(default=None, repr=False)
    answer_max_bytes: int = 2**20

    @property
    def repeatable(self) -> bool:
        """Whether a second request cannot do the same thing twice."""
        return self.method == "GET" or self.key is not None

    @property
    def path(self) -> str:
        """The path below the base address, ready to be sent."""
        if self.meeting_id is None:
            return f"/api/v1/{self.operation}"
        return f"/api/v1/meetings/{quote(self.meeting_id, safe='')}/{self.operation}"


class GatewayCalls:
    """Sends calls to one gateway over connections of its own.

    Nothing is taken from the environment (proxies), no redirect is followed, no cookie is kept.
    Raises `OSError` or `ssl.SSLError` where the bundle of authorities cannot be read.
    """

    def __init__(self, address: GatewayAddress) -> None:
        self._base = address.base.rstrip("/")
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        if address.token:
            headers["Authorization"] = f"Bearer {address.token}"
        trusted: ssl.SSLContext | bool = True
        if address.ca_bundle is not None:
            trusted = ssl.create_default_context(cafile=str(address.ca_bundle))
        self._session = ClientSession(
            connector=TCPConnector(
                family=socket.AF_INET if address.force_ipv4 else socket.AF_UNSPEC,
                limit=address.max_connections,
                ssl=trusted,
            ),
            timeout=ClientTimeout(total=None),
            cookie_jar=DummyCookieJar(),
            auto_decompress=False,
            headers=headers,
            trust_env=False,
        )

    @property
    def base(self) -> str:
        """The address without a slash at its end."""
        return self._base

    async def send(self, call: Call, timeout_s: float) -> Answer:
        """Return the answer, whatever its status.

        Raises `ConnectorTimeout`, `ConnectorUnavailable`, `ConnectorInvalidResponse` for what is
        not HTTP, compressed, or larger than `answer_max_bytes`.
        """
        details = {"operation": call.operation}
        try:
            async with asyncio.timeout(timeout_s):
                return await self._send(call)
        except TimeoutError:
            raise ConnectorTimeout(details=details) from None
        except ClientResponseError:
            raise ConnectorInvalidResponse(details=details) from None
        except (ClientError, OSError) as error:
            message = f"The gateway cannot be reached or breaks off: {type(error).__name__}."
            raise ConnectorUnavailable(message, details=details) from None

    async def aclose(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def _send(self, call: Call) -> Answer:
        headers = {} if call.key is None else {"Idempotency-Key": call.key}
        body = None
        if call.body is not None:
            headers["Content-Type"] = "application/json"
            body = json.dumps(call.body, ensure_ascii=False).encode()
        url = URL(self._base + call.path, encoded=True).with_query(call.query)
        async with self._session.request(
            call.method, url, headers=headers, data=body, allow_redirects=False
        ) as response:
            answer = Answer(response.status, b"", response.headers.get("Retry-After"))
            if not answer.succeeded:
                error = await _read(response, ERROR_MAX_BYTES)
                return Answer(answer.status, error or b"", answer.retry_after)
            if response.headers.get("Content-Encoding", "identity") != "identity":
                raise ConnectorInvalidResponse("The gateway compressed its answer unasked.")
            whole = await _read(response, call.answer_max_bytes)
            if whole is None:
                message = f"The gateway answered with more than {call.answer_max_bytes} bytes."
                raise ConnectorInvalidResponse(message)
            return Answer(answer.status, whole, answer.retry_after)


async def _read(response: ClientResponse, max_bytes: int) -> bytes | None:
    """Return the whole body; None, and the connection is closed, when it is larger."""
    body = bytearray()
    async for piece in response.content.iter_chunked(_PIECE_BYTES):
        body += piece
        if len(body) > max_bytes:
            response.close()
            return None
    return bytes(body)
