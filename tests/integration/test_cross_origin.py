"""Pages of other origins, and what answers tell browsers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from access_server import KEYS, AccessServer, access_server, key
from interview_agent.web.origins import Origins

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from multidict import CIMultiDictProxy

    from interview_agent.adapters.postgres import Database

APP = "https://app.example.com"
PREFLIGHT = {"Access-Control-Request-Method": "GET"}
ALLOW_ORIGIN = "Access-Control-Allow-Origin"


@pytest_asyncio.fixture
async def server(database: Database, tmp_path: Path) -> AsyncIterator[AccessServer]:
    origins = Origins([APP], credentials=True)
    async with access_server(
        database, tmp_path, KEYS, origins=origins, trusted=("127.0.0.1",)
    ) as opened:
        yield opened


async def answered(
    server: AccessServer, method: str, path: str, headers: dict[str, str]
) -> tuple[int, CIMultiDictProxy[str]]:
    async with server.http.request(method, path, headers=headers) as answer:
        return answer.status, answer.headers


ANSWERS = {
    "/health": 200,
    "/nowhere": 404,
    "/v1/meetings": 401,
    "/v1/meetings/start": 404,
    "/v1/ws": 426,
}


@pytest.mark.parametrize("path", ANSWERS)
async def test_pages_that_may_read_answers_read_errors_too(server: AccessServer, path: str) -> None:
    headers = {"Origin": APP} | (key("alice") if "start" in path else {})
    status, told = await answered(server, "GET", path, headers)
    assert status == ANSWERS[path]
    assert told[ALLOW_ORIGIN] == APP
    assert told["Access-Control-Allow-Credentials"] == "true"
    assert "Retry-After" in told["Access-Control-Expose-Headers"]
    assert "Origin" in told["Vary"]


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "",
        "https://app.example.com.evil.example",
        "http://app.example.com",
        "https://app.example.com:444",
        "https://app.example.com, https://evil.example",
    ],
)
async def test_other_pages_read_nothing(server: AccessServer, origin: str) -> None:
    for method in ("GET", "OPTIONS"):
        _, told = await answered(server, method, "/v1/meetings", PREFLIGHT | {"Origin": origin})
        assert not [name for name in told if name.startswith("Access-Control-")]
        assert "Origin" in told["Vary"]


async def test_who_is_no_page_is_told_nothing_of_origins(server: AccessServer) -> None:
    _, told = await answered(server, "GET", "/v1/meetings", key("alice"))
    assert not [name for name in told if name.startswith("Access-Control-")]


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/v1/meetings", "GET, HEAD"),
        ("/v1/meetings/m1/chunks", "GET, HEAD, POST"),
        ("/v1/meetings/m1/recording", "POST"),
    ],
)
async def test_a_preflight_tells_the_methods_that_there_are_and_needs_no_key(
    server: AccessServer, path: str, methods: str
) -> None:
    status, told = await answered(server, "OPTIONS", path, PREFLIGHT | {"Origin": APP})
    assert (status, told["Access-Control-Allow-Methods"]) == (204, methods)
    assert told[ALLOW_ORIGIN] == APP
    asked = {name.strip() for name in told["Access-Control-Allow-Headers"].split(",")}
    assert {"Authorization", "X-API-Key", "Content-Type"} <= asked
    assert server.audit.noted == []


async def test_a_preflight_for_nothing_or_of_no_page_is_no_preflight(server: AccessServer) -> None:
    origin = {"Origin": APP}
    assert (await answered(server, "OPTIONS", "/nowhere", PREFLIGHT | origin))[0] == 404
    assert (await answered(server, "OPTIONS", "/v1/meetings", origin))[0] == 405
    assert (await answered(server, "OPTIONS", "/v1/meetings", PREFLIGHT))[0] == 405


async def test_own_pages_and_those_of_loopback_need_no_mention(server: AccessServer) -> None:
    for origin in (server.address, "http://localhost:3000", "http://127.0.0.1:5173"):
        _, told = await answered(server, "GET", "/health", {"Origin": origin})
        assert told[ALLOW_ORIGIN] == origin


async def test_where_all_pages_may_none_sends_cookies(database: Database, tmp_path: Path) -> None:
    origins = Origins(["*"], credentials=True)
    async with access_server(database, tmp_path, KEYS, origins=origins) as server:
        _, told = await answered(server, "GET", "/health", {"Origin": "https://any.example"})
        assert told[ALLOW_ORIGIN] == "https://any.example"
        assert "Access-Control-Allow-Credentials" not in told
        assert (await server.dial.refusal("alice", "/v1/ws", headers={"Origin": APP}))[0] == 101


PATHS = ("/health", "/metrics", "/docs", "/docs/swagger-ui.css", "/nowhere", "/v1/meetings")


@pytest.mark.parametrize("path", PATHS)
async def test_every_answer_has_the_headers_that_keep_browsers_safe(
    server: AccessServer, path: str
) -> None:
    _, told = await answered(server, "GET", path, {"X-Forwarded-Proto": "https"})
    assert told["X-Content-Type-Options"] == "nosniff"
    assert told["Referrer-Policy"] == "no-referrer"
    assert told["Content-Security-Policy"].startswith("default-src 'none'")
    assert "frame-ancestors 'none'" in told["Content-Security-Policy"]
    assert told["Strict-Transport-Security"].startswith("max-age=")
    assert "Server" not in told


async def test_tls_is_demanded_only_of_those_who_came_by_it(
    server: AccessServer, database: Database, tmp_path: Path
) -> None:
    _, told = await answered(server, "GET", "/health", {})
    assert "Strict-Transport-Security" not in told
    async with access_server(database, tmp_path / "other", KEYS) as distrustful:
        _, told = await answered(distrustful, "GET", "/health", {"X-Forwarded-Proto": "https"})
        assert "Strict-Transport-Security" not in told
