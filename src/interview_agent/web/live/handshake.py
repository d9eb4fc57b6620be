"""Who may open a socket: decided by HTTP, before the upgrade."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from aiohttp import web
from multidict import CIMultiDict

from interview_agent.domain.errors import Forbidden, Unauthorized

if TYPE_CHECKING:
    from interview_agent.domain.identity import Identity
    from interview_agent.domain.policy import Need
    from interview_agent.web.auth import Authenticator
    from interview_agent.web.gate import Gate, Visit
    from interview_agent.web.origins import Origins

SUBPROTOCOL = "interview-agent.v1"
"""The only sub-protocol that is ever answered with."""

_PROTOCOLS_HEADER = "Sec-WebSocket-Protocol"
_BEARER = "bearer."
_BEARER_ENCODED = "bearer.b64."
_SECRETS_IN_QUERY = frozenset({"token", "access_token", "api_key", "apikey", "x-api-key"})


async def admit(
    request: web.Request, visit: Visit, need: Need, *, gate: Gate, origins: Origins
) -> Identity:
    """Return who opens the socket.

    Raises `Unauthorized`, `Forbidden`, `RateLimited`, and HTTP 400 or 426 for what is no WebSocket
    handshake.
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
    shown = _with_credential(request, offered, gate.authenticator)
    return await gate.admit(request, visit, need, shown)


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


def _check_origin(request: web.BaseRequest, origins: Origins) -> None:
    given = request.headers.getall("Origin", [])
    if not given:
        return
    if len(given) > 1 or not origins.welcomes(given[0], request.host):
        message = "pages of this origin may not open sockets here"
        raise Forbidden(message, refusal="origin_not_allowed")
