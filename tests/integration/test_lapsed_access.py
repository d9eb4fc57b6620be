"""Who was let in is let out again: tokens expire and keys are struck while somebody is there."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from event_stream_client import event_stream
from forged_tokens import AUDIENCE, ISSUER, NOW_S, RsaSigner, claims, token
from interview_agent.adapters.oidc import KeyCache, SignedTokens
from interview_agent.adapters.oidc.key_set import KeySet, read_key_set
from interview_agent.domain.claims import BearerRules, TokenTerms
from interview_agent.pipeline.live_ingest import LiveLimits
from interview_agent.web.auth import ApiKeys
from interview_agent.web.bearer import BearerTokens
from interview_agent.web.live.limits import Patience, SocketLimits
from interview_agent.web.parts import StreamTimes
from socket_client import WAIT_S
from socket_server import SocketServer, served_sockets

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from interview_agent.adapters.postgres import Database
    from socket_client import Talk

SIGNER = RsaSigner()
LIMITS = SocketLimits(patience=Patience(tick_s=0.02))
STREAMS = StreamTimes(recheck_s=0.02)


@dataclass
class Hour:
    """The time that tokens are judged by."""

    now_s: float = NOW_S

    def __call__(self) -> float:
        return self.now_s


@dataclass
class Guarded:
    """A server that takes tokens by its own clock."""

    served: SocketServer
    hour: Hour


async def published() -> KeySet:
    return read_key_set({"keys": [SIGNER.jwk()]}, ["RS256"])


def bearer(**changes: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(SIGNER, claims(**changes))}"}


async def opened(guarded: Guarded, path: str = "/v1/ws", **changes: Any) -> Talk:
    return await guarded.served.dial.open(None, path, headers=bearer(**changes))


@pytest_asyncio.fixture
async def guarded(database: Database, tmp_path: Path) -> AsyncIterator[Guarded]:
    hour = Hour()
    door = BearerTokens(
        SignedTokens(KeyCache(published), algorithms=["RS256"]),
        TokenTerms(issuer=ISSUER, audience=AUDIENCE, leeway_s=30.0),
        BearerRules(service_values=frozenset({"m2m"})),
        now=hour,
    )
    async with served_sockets(
        database,
        tmp_path,
        limits=LIMITS,
        # A chunk so long that only the end makes it durable.
        live_limits=LiveLimits(chunk_s=60.0),
        authenticator=door,
        streams=STREAMS,
    ) as served:
        yield Guarded(served, hour)


async def test_a_socket_is_closed_when_the_leeway_of_its_token_is_over(guarded: Guarded) -> None:
    """S37."""
    talk = await opened(guarded, exp=int(NOW_S) + 60)
    longer = await opened(guarded, exp=int(NOW_S) + 3_600)
    guarded.hour.now_s = NOW_S + 89
    await talk.still_answers()
    guarded.hour.now_s = NOW_S + 90
    assert await talk.closed() == 1008
    assert talk.socket.close_code == 1008
    await longer.still_answers()
    status, code, _ = await guarded.served.dial.refusal(headers=bearer(exp=int(NOW_S) + 60))
    assert (status, code) == (401, "unauthorized")


async def test_the_client_is_told_why(guarded: Guarded) -> None:
    talk = await opened(guarded)
    guarded.hour.now_s = NOW_S + 3_600
    async with asyncio.timeout(WAIT_S):
        message = await talk.socket.receive()
    assert (message.data, message.extra) == (1008, "token_expired")


async def test_a_service_socket_is_closed_as_well(guarded: Guarded) -> None:
    talk = await opened(guarded, "/v1/ws/internal", token_type="m2m")
    guarded.hour.now_s = NOW_S + 3_600
    assert await talk.closed() == 1008


async def test_what_was_said_before_the_end_is_made_durable_and_acknowledged(
    guarded: Guarded,
) -> None:
    talk = await opened(guarded)
    await talk.start("m1")
    await talk.frames(range(3), b"\1" * 3200)
    await talk.still_answers()
    assert not talk.acked()
    guarded.hour.now_s = NOW_S + 3_600
    assert await talk.closed() == 1008
    assert talk.acked() == [0, 1, 2]
    assert await guarded.served.stored("m1") == b"\1" * 9600


async def test_an_event_stream_ends_with_its_token(guarded: Guarded) -> None:
    talk = await opened(guarded)
    await talk.start("m1")
    async with event_stream(guarded.served.dial.address, "m1", bearer()) as stream:
        await stream.until(lambda it: it.told)
        assert not stream.ended
        guarded.hour.now_s = NOW_S + 3_600
        await stream.until(lambda it: it.ended)


async def test_a_struck_key_ends_its_sockets_and_streams_and_no_others(
    database: Database, tmp_path: Path
) -> None:
    """S38."""
    keys = ApiKeys(["alice", "bob"], ["machine"])
    async with served_sockets(
        database, tmp_path, limits=LIMITS, authenticator=keys, streams=STREAMS
    ) as served:
        alice, bob = await served.dial.open("alice"), await served.dial.open("bob")
        await alice.start("m1")
        async with event_stream(served.dial.address, "m1", {"X-API-Key": "alice"}) as stream:
            await stream.until(lambda it: it.told)
            keys.replace(["bob"], ["machine"])
            await stream.until(lambda it: it.ended)
        assert await alice.closed() == 1008
        await bob.still_answers()
        assert (await served.dial.refusal("alice"))[:2] == (401, "unauthorized")


@pytest.mark.parametrize("headers", [{}, {"X-API-Key": "alice"}, {"X-API-Key": "machine"}])
async def test_without_a_token_nobody_is_let_in(guarded: Guarded, headers: dict[str, str]) -> None:
    for path in ("/v1/ws", "/v1/ws/internal"):
        status, code, answered = await guarded.served.dial.refusal(path=path, headers=headers)
        assert (status, code) == (401, "unauthorized")
        assert answered["WWW-Authenticate"] == "Bearer"


async def test_a_browser_shows_its_token_as_a_sub_protocol_that_nobody_repeats(
    guarded: Guarded, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    good, bad = token(SIGNER), token(RsaSigner("eve"))
    talk = await guarded.served.dial.open(None, protocols=("interview-agent.v1", f"bearer.{good}"))
    await talk.still_answers()
    assert talk.socket.protocol == "interview-agent.v1"
    offer = f"interview-agent.v1, bearer.{bad}"
    refused = await guarded.served.dial.refusal(headers={"Sec-WebSocket-Protocol": offer})
    assert refused[0] == 401
    printed = capsys.readouterr()
    written = printed.out + printed.err + caplog.text
    for part in (*good.split("."), *bad.split(".")):
        assert part not in written


async def test_two_authorization_headers_are_a_bad_request(guarded: Guarded) -> None:
    """S16."""
    headers = [("Authorization", bearer()["Authorization"])] * 2
    http, address = guarded.served.dial.http, guarded.served.dial.address
    async with http.get(f"{address}/v1/meetings/m1", headers=headers) as answer:
        assert answer.status == 400
        assert (await answer.json())["detail"]["code"] == "bad_request"
