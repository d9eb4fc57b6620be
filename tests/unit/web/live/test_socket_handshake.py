"""Who may open a socket."""

from __future__ import annotations

import base64
import logging
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from audit_twin import NotedAudit
from forged_tokens import NOW_S, claims
from interview_agent.domain.claims import BearerRules, TokenTerms
from interview_agent.domain.errors import (
    AgentError,
    CredentialsAmbiguous,
    Forbidden,
    InvalidToken,
    Unauthorized,
)
from interview_agent.domain.identity import Identity, Kind
from interview_agent.domain.policy import Need, Policy
from interview_agent.web.auth import ApiKeys, Authenticator, OpenDoor
from interview_agent.web.bearer import BearerTokens
from interview_agent.web.gate import Gate
from interview_agent.web.live.handshake import admit
from interview_agent.web.origins import Origins
from interview_agent.web.proxies import Proxies
from interview_agent.web.rates import RateLimits, Rates

if TYPE_CHECKING:
    from interview_agent.domain.claims import Claims

KEYS = ApiKeys(["alice", "b64.odd", "with space/ä"], ["machine"])
HANDSHAKE = {
    "Host": "agent.example:8010",
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": base64.b64encode(bytes(16)).decode(),
}


async def opened(
    headers: dict[str, str],
    *,
    path: str = "/v1/ws",
    contour: Kind = Kind.USER,
    keys: Authenticator = KEYS,
    origins: tuple[str, ...] = (),
) -> Identity:
    request = make_mocked_request("GET", path, headers=HANDSHAKE | headers)
    rates, proxies = Rates(RateLimits()), Proxies()
    gate = Gate(keys, Policy(), NotedAudit(), rates=rates, proxies=proxies)
    need = Need.SOCKET_USER if contour is Kind.USER else Need.SOCKET_INTERNAL
    return await admit(request, gate.visit(request), need, gate=gate, origins=Origins(origins))


def offered(*protocols: str) -> dict[str, str]:
    return {"Sec-WebSocket-Protocol": ", ".join(protocols)}


def encoded(key: str) -> str:
    return "bearer.b64." + base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


async def test_a_key_in_the_header_opens_the_contour_of_its_kind() -> None:
    assert (await opened({"X-API-Key": "alice"})).kind is Kind.USER
    found = await opened({"X-API-Key": "machine"}, contour=Kind.SERVICE)
    assert found.kind is Kind.SERVICE


@pytest.mark.parametrize(
    ("key", "contour", "hint"),
    [("machine", Kind.USER, "use /v1/ws/internal"), ("alice", Kind.SERVICE, "service identity")],
)
async def test_each_contour_refuses_the_identity_of_the_other(
    key: str, contour: Kind, hint: str
) -> None:
    with pytest.raises(Forbidden, match=hint):
        await opened({"X-API-Key": key}, contour=contour)


async def test_without_authentication_users_get_in_and_services_do_not() -> None:
    assert (await opened({}, keys=OpenDoor())).subject == "anonymous"
    with pytest.raises(Forbidden):
        await opened({}, keys=OpenDoor(), contour=Kind.SERVICE)


@pytest.mark.parametrize(
    "protocols",
    [
        ("interview-agent.v1", "bearer.alice"),
        ("bearer.alice", "interview-agent.v1"),
        ("interview-agent.v1", encoded("alice")),
        ("interview-agent.v1", encoded("with space/ä")),
        ("interview-agent.v1", encoded("b64.odd")),
    ],
)
async def test_a_browser_shows_its_key_as_a_sub_protocol(protocols: tuple[str, ...]) -> None:
    assert (await opened(offered(*protocols))).kind is Kind.USER


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-API-Key": "wrong"},
        offered("interview-agent.v1"),
        offered("interview-agent.v1", "bearer."),
        offered("interview-agent.v1", "bearer.wrong"),
        offered("interview-agent.v1", "bearer.b64.%%%"),
        offered("interview-agent.v1", "bearer.b64._w"),
        offered("interview-agent.v1", "bearer.alice", "bearer.alice"),
        {"X-API-Key": "alice", **offered("interview-agent.v1", "bearer.alice")},
    ],
)
async def test_anything_but_exactly_one_good_credential_is_refused(
    headers: dict[str, str],
) -> None:
    with pytest.raises(Unauthorized):
        await opened(headers)


class TokenReader:
    """Reads one token."""

    async def claims_of(self, token: str) -> Claims:
        """Return what it says."""
        if token != "alice.signed.token":
            raise InvalidToken("unknown_key")
        return claims()


TOKENS = BearerTokens(
    TokenReader(),
    TokenTerms(),
    BearerRules(),
    service_keys=ApiKeys((), ["machine"]),
    now=lambda: NOW_S,
)


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer alice.signed.token"},
        offered("interview-agent.v1", "bearer.alice.signed.token"),
        offered("interview-agent.v1", encoded("alice.signed.token")),
        {"X-API-Key": "wrong", **offered("interview-agent.v1", "bearer.alice.signed.token")},
    ],
)
async def test_where_tokens_are_asked_for_the_sub_protocol_carries_one(
    headers: dict[str, str],
) -> None:
    assert (await opened(headers, keys=TOKENS)).subject == "alice"


@pytest.mark.parametrize(
    "headers",
    [
        offered("interview-agent.v1", "bearer.machine"),
        offered("interview-agent.v1", encoded("machine")),
        {"X-API-Key": "machine", **offered("interview-agent.v1", "bearer.eve")},
    ],
)
async def test_what_is_there_instead_of_a_token_is_no_key(headers: dict[str, str]) -> None:
    with pytest.raises(Unauthorized):
        await opened(headers, keys=TOKENS, contour=Kind.SERVICE)


async def test_two_tokens_are_one_too_many() -> None:
    headers = {
        "Authorization": "Bearer alice.signed.token",
        **offered("interview-agent.v1", "bearer.alice.signed.token"),
    }
    with pytest.raises(CredentialsAmbiguous):
        await opened(headers, keys=TOKENS)


async def test_beside_tokens_a_service_key_in_its_header_opens_the_contour_of_services() -> None:
    found = await opened({"X-API-Key": "machine"}, keys=TOKENS, contour=Kind.SERVICE)
    assert found.kind is Kind.SERVICE


@pytest.mark.parametrize("name", ["token", "access_token", "api_key", "API_KEY", "Token"])
async def test_a_credential_in_the_address_is_refused_even_beside_a_good_one(name: str) -> None:
    with pytest.raises(Unauthorized):
        await opened({"X-API-Key": "alice"}, path=f"/v1/ws?{name}=alice")


async def test_a_token_without_our_protocol_is_refused_before_anybody_logs_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(web.HTTPBadRequest) as refused:
        await opened(offered("bearer.alice", "chat"))
    assert "alice" not in str(refused.value.reason)
    assert "alice" not in caplog.text


ORIGINS = {
    "no browser": (None, True),
    "same origin": ("http://agent.example:8010", True),
    "same origin behind TLS": ("https://agent.example:8010", True),
    "upper case": ("HTTP://Agent.Example:8010", True),
    "another port": ("http://agent.example", False),
    "loopback": ("http://localhost:3000", True),
    "loopback address": ("http://127.0.0.1:5173", True),
    "loopback of version 6": ("http://[::1]:5173", True),
    "allowed": ("https://app.example.com", True),
    "allowed on another port": ("https://app.example.com:444", False),
    "allowed by another scheme": ("http://app.example.com", False),
    "null": ("null", False),
    "empty": ("", False),
    "foreign": ("https://evil.example", False),
    "prefix": ("http://agent.example.evil.example:8010", False),
    "user part": ("http://localhost@evil.example", False),
    "extension": ("chrome-extension://abc", False),
    "file": ("file://", False),
    "broken": ("http://[", False),
    "bad port": ("http://agent.example:99999999", False),
    "looks like loopback": ("http://127.0.0.1.evil.example", False),
}


@pytest.mark.parametrize("case", ORIGINS, ids=lambda case: case)
async def test_pages_open_sockets_from_where_they_may(case: str) -> None:
    origin, welcome = ORIGINS[case]
    headers = {"X-API-Key": "alice"} | ({"Origin": origin} if origin is not None else {})
    outcome = "welcome"
    try:
        await opened(headers, origins=("https://app.example.com",))
    except AgentError as error:
        outcome = error.code
    assert outcome == ("welcome" if welcome else "forbidden")


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"Upgrade": ""}, 426),
        ({"Upgrade": "h2c"}, 426),
        ({"Connection": "keep-alive"}, 400),
        ({"Sec-WebSocket-Version": "12"}, 400),
        ({"Sec-WebSocket-Key": "short"}, 400),
    ],
)
async def test_what_is_no_handshake_is_told_so(changed: dict[str, str], status: int) -> None:
    with pytest.raises(web.HTTPException) as refused:
        await opened({"X-API-Key": "alice"} | changed)
    assert refused.value.status == status
