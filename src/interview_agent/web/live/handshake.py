"""Who may open a socket: decided by HTTP, before the upgrade."""

from __future__ import annotations

import base64
import binascii
import ipaddress
from typing import TYPE_CHECKING

from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from interview_agent.domain.errors import Forbidden, Unauthorized
from interview_agent.domain.identity import Identity, Kind

if TYPE_CHECKING:
    from collections.abc import Collection

    from interview_agent.web.auth import Authenticator

SUBPROTOCOL = "interview-agent.v1"
"""The only sub-protocol that is ever answered with."""

_PROTOCOLS_HEADER = "Sec-WebSocket-Protocol"
_BEARER = "bearer."
_BEARER_ENCODED = "bearer.b64."
_SECRETS_IN_QUERY = frozenset({"token", "access_token", "api_key", "apikey", "x-api-key"})


async def admit(
    request: web.Request,
    *,
    contour: Kind,
    authenticator: Authenticator,
    origins: Collection[str],
) -> Identity:
    """Return who opens the socket.

    Raises `Unauthorized`, `Forbidden`, and HTTP 400 or 426 for what is no WebSocket handshake.
    """
    _refuse_secrets_in_query(request)
    offered = _offered_protocols(request)
    # The framework looks at the handshake only now: it logs protocols that it does not know.
    if request.headers.get("Upgrade", "").strip().lower() != "websocket":
        raise web.HTTPUpgradeRequired(
            reason="this path speaks WebSocket", headers={"Upgrade": "websocket"}
        )
    if not web.WebSocketResponse(protocols=(SUBPROTOCOL,)).can_prepare(request):
        raise web.HTTPBadRequest(reason="the WebSocket handshake is malformed")
    _check_origin(request, origins)
    caller = await authenticator.identify(_with_credential(request, offered, authenticator))
    if contour is Kind.USER and caller.is_service:
        message = "use /v1/ws/internal"
        raise Forbidden(message)
    if contour is Kind.SERVICE and not caller.is_service:
        message = "service identity required"
        raise Forbidden(message)
    return caller


def _refuse_secrets_in_query(request: web.BaseRequest) -> None:
    # Addresses end up in logs and histories, so a credential there is a leaked one.
    if any(name.lower() in _SECRETS_IN_QUERY for name in request.query):
        message = "credentials do not belong in an address"
        raise Unauthorized(message)


def _offered_protocols(request: web.BaseRequest) -> list[str]:
    lines = request.headers.getall(_PROTOCOLS_HEADER, [])
    offered = [entry.strip() for line in lines for entry in line.split(",")]
    if lines and (len(lines) > 1 or SUBPROTOCOL not in offered):
        raise web.HTTPBadRequest(reason=f"the sub-protocol spoken here is {SUBPROTOCOL}")
    return offered


def _with_credential(
    request: web.Request, offered: list[str], authenticator: Authenticator
) -> web.BaseRequest:
    tokens = [entry for entry in offered if entry.startswith(_BEARER)]
    if not tokens:
        return request
    headers = CIMultiDict(request.headers)
    # Added, not set: one credential in a header and another here is not exactly one.
    for token in tokens:
        headers.add(*authenticator.header_of(_token_of(token)))
    return request.clone(headers=headers)


def _token_of(entry: str) -> str:
    if not entry.startswith(_BEARER_ENCODED):
        return entry.removeprefix(_BEARER)
    encoded = entry.removeprefix(_BEARER_ENCODED).rstrip("=")
    try:
        padded = encoded.encode() + b"=" * (-len(encoded) % 4)
        return base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        message = "the token is not base64url of UTF-8"
        raise Unauthorized(message) from None


def _check_origin(request: web.BaseRequest, origins: Collection[str]) -> None:
    given = request.headers.getall("Origin", [])
    if not given:
        return
    if len(given) > 1 or not _is_welcome(given[0].strip().lower(), request.host, origins):
        message = "pages of this origin may not open sockets here"
        raise Forbidden(message)


def _is_welcome(origin: str, host: str, origins: Collection[str]) -> bool:
    if origin in origins:
        return True
    try:
        page = URL(origin)
        own = URL(f"{page.scheme}://{host.strip().lower()}")
    except ValueError:
        return False
    if page.scheme not in {"http", "https"} or page.host is None:
        return False
    return (page.host, page.port) == (own.host, own.port) or _is_loopback(page.host)


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
