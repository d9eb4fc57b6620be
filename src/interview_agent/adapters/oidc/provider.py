"""The provider over HTTP: where its keys lie, and the keys. It may be slow, broken or hostile."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import ClientError, ClientSession, ClientTimeout, DummyCookieJar
from yarl import URL

from interview_agent.adapters.oidc.key_set import KeySet, read_key_set

MAX_DOCUMENT_BYTES = 2**20

_DISCOVERY = "/.well-known/openid-configuration"
_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity"}
_PIECE_BYTES = 2**16


class KeysUnavailableError(Exception):
    """The provider gave no keys; the text says why, in a word or two."""


class OidcProvider:
    """Fetches the keys of one issuer.

    With `jwks_url` they are taken from there, else from where the discovery document of `issuer`
    says, which must be the issuer's own host. `timeout_s` bounds the whole of it. With `https_only`
    nothing is fetched in clear.
    """

    def __init__(
        self,
        *,
        issuer: str | None,
        jwks_url: str | None,
        algorithms: Sequence[str],
        timeout_s: float,
        https_only: bool,
    ) -> None:
        self._issuer = issuer
        self._jwks_url = jwks_url
        self._algorithms = tuple(algorithms)
        self._timeout_s = timeout_s
        self._https_only = https_only

    async def fetch(self) -> KeySet:
        """Return the keys that can be used. Raises `KeysUnavailableError`."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._fetch()
        except TimeoutError:
            raise KeysUnavailableError("timeout") from None
        except (ClientError, OSError, ValueError) as error:
            raise KeysUnavailableError(type(error).__name__) from None

    async def _fetch(self) -> KeySet:
        async with ClientSession(
            timeout=ClientTimeout(total=None),
            cookie_jar=DummyCookieJar(),
            auto_decompress=False,
            headers=_HEADERS,
        ) as session:
            url = self._jwks_url or await self._discover(session)
            keys = read_key_set(await self._document(session, url), self._algorithms)
        if not keys:
            raise KeysUnavailableError("no_usable_key")
        return keys

    async def _discover(self, session: ClientSession) -> str:
        issuer = self._issuer or ""
        found = await self._document(session, issuer.removesuffix("/") + _DISCOVERY)
        if not isinstance(found, Mapping) or found.get("issuer") != issuer:
            raise KeysUnavailableError("foreign_issuer")
        url = found.get("jwks_uri")
        # Who answers for the issuer must not make us ask anybody else.
        if not isinstance(url, str) or URL(url).origin() != URL(issuer).origin():
            raise KeysUnavailableError("foreign_jwks_uri")
        return url

    async def _document(self, session: ClientSession, url: str) -> Any:
        if self._https_only and URL(url).scheme != "https":
            raise KeysUnavailableError("not_https")
        async with session.get(url, allow_redirects=False) as answer:
            if answer.status != 200:
                raise KeysUnavailableError(f"status_{answer.status}")
            if answer.headers.get("Content-Encoding", "identity") != "identity":
                raise KeysUnavailableError("compressed")
            body = bytearray()
            async for piece in answer.content.iter_chunked(_PIECE_BYTES):
                body += piece
                if len(body) > MAX_DOCUMENT_BYTES:
                    raise KeysUnavailableError("too_large")
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            raise KeysUnavailableError("not_json") from None
