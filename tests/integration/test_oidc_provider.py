"""Fetching the keys of a provider over HTTP, whatever it answers."""

from __future__ import annotations

import asyncio
import time
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from aiohttp import web

from forged_tokens import RsaSigner, token
from identity_provider import DISCOVERY, JWKS, IdentityProvider, answering, identity_provider
from interview_agent.adapters.oidc import KeyCache, OidcProvider, SignedTokens
from interview_agent.adapters.oidc.provider import KeysUnavailableError
from interview_agent.domain.errors import InvalidToken

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from machine_pace import Pace

MAIN = RsaSigner()


@pytest_asyncio.fixture
async def provider() -> AsyncIterator[IdentityProvider]:
    async with identity_provider(MAIN) as served:
        yield served


def client(provider: IdentityProvider, **changes: Any) -> OidcProvider:
    options = {"issuer": provider.address, "jwks_url": None, "https_only": False, "timeout_s": 5.0}
    return OidcProvider(algorithms=["RS256"], **{**options, **changes})


async def refusal(provider: IdentityProvider, **changes: Any) -> str:
    """Return why no keys came."""
    with pytest.raises(KeysUnavailableError) as refused:
        await client(provider, **changes).fetch()
    return str(refused.value)


async def test_keys_are_found_by_discovery(provider: IdentityProvider) -> None:
    keys = await client(provider).fetch()
    assert keys.find("main", "RS256") is not None
    assert provider.asked == [DISCOVERY, JWKS]


async def test_a_configured_address_of_the_keys_is_asked_directly(
    provider: IdentityProvider,
) -> None:
    keys = await client(provider, issuer=None, jwks_url=provider.jwks_url).fetch()
    assert keys.find("main", "RS256") is not None
    assert provider.asked == [JWKS]


async def test_an_issuer_may_end_in_a_slash(provider: IdentityProvider) -> None:
    issuer = f"{provider.address}/"
    provider.discovered = {"issuer": issuer}
    assert await client(provider, issuer=issuer).fetch()


@pytest.mark.parametrize("issuer", ["https://evil.example", None, "", "{address}/"])
async def test_a_document_of_another_issuer_is_refused(
    provider: IdentityProvider, issuer: str | None
) -> None:
    """S35: a slash more makes another issuer."""
    provider.discovered = {"issuer": issuer and issuer.format(address=provider.address)}
    assert await refusal(provider) == "foreign_issuer"
    assert provider.asked == [DISCOVERY]


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/keys",
        "http://localhost:{port}/keys",
        "https://127.0.0.1:{port}/keys",
        "http://127.0.0.1:1/keys",
        "http://127.0.0.1@evil.example/keys",
        "file:///etc/passwd",
        "/keys",
        "",
        None,
        7,
        ["{port}"],
    ],
)
async def test_keys_on_another_host_are_not_asked_for(
    provider: IdentityProvider, url: object
) -> None:
    """S36."""
    port = provider.address.rpartition(":")[2]
    provider.discovered = {"jwks_uri": url.format(port=port) if isinstance(url, str) else url}
    assert await refusal(provider) in {"foreign_jwks_uri", "ValueError"}
    assert provider.asked == [DISCOVERY]


async def test_nothing_is_fetched_in_clear_where_that_is_forbidden(
    provider: IdentityProvider,
) -> None:
    assert await refusal(provider, https_only=True) == "not_https"
    assert await refusal(provider, jwks_url=provider.jwks_url, https_only=True) == "not_https"
    assert provider.asked == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("path", [DISCOVERY, JWKS])
async def test_redirects_are_not_followed(
    provider: IdentityProvider, status: int, path: str
) -> None:
    """S35."""
    provider.instead[path] = answering(status, Location=f"{provider.address}/elsewhere")
    assert await refusal(provider) == f"status_{status}"
    assert "/elsewhere" not in provider.asked


BROKEN = {
    "HTML": (answering(body=b"<html>sign in</html>"), "not_json"),
    "nothing": (answering(), "not_json"),
    "a list": (answering(body=b"[]"), "no_usable_key"),
    "no keys": (answering(body=b'{"keys":[]}'), "no_usable_key"),
    "deep": (answering(body=b"[" * 900_000), "not_json"),
    "an error": (answering(500, b"{}"), "status_500"),
    "nothing new": (answering(304), "status_304"),
    "compressed": (answering(body=b"x", Content_Encoding="gzip"), "compressed"),
    "no UTF-8": (answering(body=b'{"keys":["\xff"]}'), "not_json"),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_an_answer_that_holds_no_keys_is_refused(
    provider: IdentityProvider, name: str
) -> None:
    provider.instead[JWKS], reason = BROKEN[name]
    assert await refusal(provider) == reason


async def test_an_endless_answer_is_cut_off(provider: IdentityProvider) -> None:
    """S35."""
    provider.instead[JWKS] = provider.flood
    tracemalloc.start()
    try:
        assert await refusal(provider) == "too_large"
        assert tracemalloc.get_traced_memory()[1] < 10 * 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("path", [DISCOVERY, JWKS])
@pytest.mark.parametrize("way", ["hang", "drip"])
async def test_a_slow_answer_is_given_up_in_time(
    provider: IdentityProvider, path: str, way: str, pace: Pace
) -> None:
    """S35."""
    provider.instead[path] = getattr(provider, way)
    started = time.monotonic()
    assert await refusal(provider, timeout_s=0.3) == "timeout"
    assert time.monotonic() - started < pace.slowed(2)


async def test_a_provider_that_is_gone_or_breaks_off_is_a_refusal(
    provider: IdentityProvider,
) -> None:
    async def break_off(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b'{"keys":')
        assert request.transport is not None
        request.transport.abort()
        return response

    provider.instead[JWKS] = break_off
    assert await refusal(provider) == "ClientPayloadError"
    assert await refusal(provider, issuer="http://127.0.0.1:1") == "ClientConnectorError"
    assert await refusal(provider, jwks_url="http://no-such-host.invalid/keys")


async def test_the_event_loop_goes_on_while_the_provider_hangs(provider: IdentityProvider) -> None:
    """S32, S34: a thousand unknown keys, one request, and nobody else waits."""
    cache = KeyCache(client(provider, timeout_s=2.0).fetch)
    tokens = SignedTokens(cache, algorithms=["RS256"])
    provider.instead[JWKS] = provider.hang

    async def refused(text: str) -> bool:
        try:
            await tokens.claims_of(text)
        except InvalidToken:
            return True
        return False

    made = [token(MAIN, kid=f"random-{number}") for number in range(1_000)]
    asking = asyncio.gather(*(refused(text) for text in made))
    lags: list[float] = []
    while not asking.done():
        before = time.perf_counter()
        await asyncio.sleep(0.01)
        lags.append(time.perf_counter() - before - 0.01)
    assert all(await asking)
    assert provider.asked.count(JWKS) == 1
    # Whoever waited for the provider would have waited for two seconds.
    assert max(lags) < 1.0
