"""An OpenID provider that can be slow, broken, hostile or gone."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from forged_tokens import EcSigner, RsaSigner

    Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]

DISCOVERY = "/.well-known/openid-configuration"
JWKS = "/keys"


class IdentityProvider:
    """Publishes the keys of its signers; `instead` replaces the answer of a path.

    `asked` holds the path of every request, in order.
    """

    def __init__(self, *signers: RsaSigner | EcSigner) -> None:
        self.signers = signers
        self.address = ""
        self.discovered: dict[str, Any] = {}
        self.instead: dict[str, Answer] = {}
        self.asked: list[str] = []
        self.leaving = asyncio.Event()

    @property
    def jwks_url(self) -> str:
        return self.address + JWKS

    @property
    def keys(self) -> bytes:
        return json.dumps({"keys": [each.jwk() for each in self.signers]}).encode()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path)
        if request.path in self.instead:
            return await self.instead[request.path](request)
        if request.path == DISCOVERY:
            document = {"issuer": self.address, "jwks_uri": self.jwks_url, **self.discovered}
            return web.json_response(document)
        if request.path == JWKS:
            return web.Response(body=self.keys, content_type="application/json")
        return web.Response(status=404)

    async def hang(self, _: web.Request) -> web.StreamResponse:
        """Say nothing until the end."""
        await self.leaving.wait()
        return web.Response(status=503)

    async def drip(self, request: web.Request) -> web.StreamResponse:
        """Send the keys a byte at a time."""
        response = web.StreamResponse()
        await response.prepare(request)
        for byte in self.keys:
            await response.write(bytes([byte]))
            await asyncio.sleep(0.05)
        return response

    async def flood(self, request: web.Request) -> web.StreamResponse:
        """Send good keys, then 50 MB of blanks."""
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(self.keys)
        for _ in range(50):
            await response.write(b" " * 2**20)
        return response


def answering(status: int = 200, body: bytes = b"", **headers: str) -> Answer:
    """Return an answer that is always the same."""

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(
            status=status,
            body=body,
            headers={name.replace("_", "-"): value for name, value in headers.items()},
        )

    return answer


@asynccontextmanager
async def identity_provider(*signers: RsaSigner | EcSigner) -> AsyncIterator[IdentityProvider]:
    """Serve a provider on a free port of this machine."""
    provider = IdentityProvider(*signers)
    runner = web.ServerRunner(web.Server(provider.answer), handle_signals=False)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    provider.address = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield provider
    finally:
        provider.leaving.set()
        await runner.cleanup()
