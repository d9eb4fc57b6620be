"""A process that takes the tokens of a provider, from its start to the provider's end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from forged_tokens import RsaSigner, SecretSigner, claims, token
from identity_provider import JWKS, answering, identity_provider
from socket_client import Dialler

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from identity_provider import IdentityProvider
    from running_agents import Agent, Agents

MAIN, EVE = RsaSigner("main"), RsaSigner("eve")
SERVICE = {"token_type": "client_credentials", "client_id": "robot", "scope": "agent.admin"}


@pytest.fixture
async def provider() -> AsyncIterator[IdentityProvider]:
    async with identity_provider(MAIN) as served:
        yield served


def jwt_agent(agents: Agents, provider: IdentityProvider, **environment: str) -> Agent:
    return made(
        agents,
        OIDC_ISSUER_URL=provider.address,
        OIDC_AUDIENCE="interview-agent",
        **environment,
    )


def made(agents: Agents, **environment: str) -> Agent:
    return agents.make_apart(["api"], AUTH_MODE="jwt", STT_PROVIDER="mock", **environment)[0]


def bearer(
    provider: IdentityProvider, signer: Any = MAIN, *, kid: str | None = None, **changes: Any
) -> dict[str, str]:
    now = int(time.time())
    said = claims(iss=provider.address, iat=now, exp=now + 600, **changes)
    shown = token(signer, said, **({"kid": kid} if kid is not None else {}))
    return {"Authorization": f"Bearer {shown}"}


async def test_tokens_open_http_and_both_sockets_and_outlive_their_provider(
    agents: Agents, provider: IdentityProvider
) -> None:
    agent = jwt_agent(agents, provider, SERVICE_API_KEYS="machine", API_KEYS="user")
    await agent.start()
    assert provider.asked.count(JWKS) == 1

    async def asked(headers: dict[str, str], path: str = "/v1/meetings/m1") -> int:
        async with (
            aiohttp.ClientSession() as http,
            http.get(agent.address + path, headers=headers) as answer,
        ):
            return answer.status

    alice = bearer(provider, tenant_id="acme")
    status, _ = await agent.call("POST", "/v1/meetings/start", {"meeting_id": "m1"}, headers=alice)
    assert status == 200
    assert await asked(alice) == 200
    assert await asked(bearer(provider, sub="bob", tenant_id="acme")) == 200
    assert await asked(bearer(provider, sub="bob", tenant_id="globex")) == 404
    assert await asked(bearer(provider, sub="bob")) == 404
    assert await asked(bearer(provider, tenant_id=["acme", "globex"])) == 403
    # A key alone: of a service, outside production; never of a user; never beside a bad token.
    assert await asked({"X-API-Key": "machine"}) == 200
    assert await asked({"X-API-Key": "user"}) == 401
    assert await asked({"X-API-Key": "machine", **bearer(provider, EVE)}) == 401
    assert await asked({}) == 401

    async with aiohttp.ClientSession() as http:
        dial = Dialler(http, agent.address)
        user, service = alice, bearer(provider, sub=None, **SERVICE)
        await (await dial.open(None, headers=user)).still_answers()
        await (await dial.open(None, "/v1/ws/internal", headers=service)).still_answers()
        shown = user["Authorization"].removeprefix("Bearer ")
        browser = await dial.open(None, protocols=("interview-agent.v1", f"bearer.{shown}"))
        await browser.still_answers()
        assert (await dial.refusal(headers=service))[0] == 403
        assert (await dial.refusal(path="/v1/ws/internal", headers=user))[0] == 403
        assert (await dial.refusal(headers=bearer(provider, EVE)))[0] == 401

    # Unknown keys are asked for no more than every half a minute: these few did so once.
    for number in range(50):
        assert await asked(bearer(provider, EVE, kid=f"random-{number}")) == 401
    assert provider.asked.count(JWKS) == 1
    provider.instead[JWKS] = answering(503)
    assert await asked(alice) == 200
    assert await asked(alice, "/ready") == 200

    planted = [alice["Authorization"], bearer(provider, EVE)["Authorization"], "machine"]
    for part in (piece for each in planted for piece in each.split()[-1].split(".")):
        assert part not in agent.log
    assert "unknown_key" in agent.log


async def test_without_its_provider_a_process_starts_says_that_it_cannot_work_and_goes_on(
    agents: Agents, provider: IdentityProvider
) -> None:
    """S32."""
    provider.instead[JWKS] = provider.hang
    agent = jwt_agent(
        agents, provider, OIDC_DISCOVERY_TIMEOUT_SEC="0.5", BAD_CREDENTIALS_PER_MINUTE="2"
    )
    await agent.start()
    status, content = await agent.call("GET", "/ready")
    assert (status, content["issues"]) == (503, ["signing_keys_failed"])
    assert await agent.get("/health") == {"ok": True}
    # Whoever shows a good token now is told so, and is no guesser for it.
    for _ in range(5):
        status, content = await agent.call("GET", "/v1/meetings", headers=bearer(provider))
        assert (status, content["detail"]["message"]) == (401, "The token cannot be checked now.")
    assert await agent.stop() == 0


async def test_tokens_of_a_shared_secret_are_taken_in_development(agents: Agents) -> None:
    secret = "planted-secret-of-at-least-32-bytes"
    agent = made(agents, OIDC_ALGORITHMS="HS256", JWT_SHARED_SECRET=secret)
    await agent.start()
    now = int(time.time())
    for signer, status in ((SecretSigner(secret.encode()), 200), (SecretSigner(b"x" * 32), 401)):
        shown = token(signer, claims(iat=now, exp=now + 60))
        headers = {"Authorization": f"Bearer {shown}"}
        assert (await agent.call("GET", "/v1/meetings", headers=headers))[0] == status
    assert secret not in agent.log
