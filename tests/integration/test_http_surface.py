"""What every answer has: identity, errors, headers, metrics, probes, docs."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from aiohttp.test_utils import TestClient, TestServer

from http_stand_ins import (
    CHUNKS,
    KEY,
    Client,
    Doors,
    Readying,
    code_of,
    raw_exchange,
    served_api,
)
from interview_agent import __version__
from interview_agent.metrics import Metrics
from interview_agent.web.app import build_probe_app
from interview_agent.web.parts import ProbeParts, Readiness

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def doors() -> Doors:
    return Doors()


@pytest.fixture
def probe() -> Readying:
    return Readying()


@pytest_asyncio.fixture
async def client(doors: Doors, probe: Readying, tmp_path: Path) -> AsyncIterator[Client]:
    """A client of an API that has a folder but no database."""
    async with served_api(tmp_path / "chunks", doors, probe) as opened:
        yield opened


@pytest_asyncio.fixture
async def impatient(doors: Doors, probe: Readying, tmp_path: Path) -> AsyncIterator[Client]:
    """A client of the same API, which waits 0.6 s for a sender."""
    async with served_api(tmp_path / "impatient", doors, probe, patience_s=0.6) as opened:
        yield opened


@pytest.mark.parametrize(
    "request_",
    [
        b"SECRET /health HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 20_000 + b"\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: a\r\n" + b"X: 1\r\n" * 5000 + b"\r\n",
        b"POST /health HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        (
            b"POST /health HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        ),
        b"\x16\x03\x01 hello",
    ],
    ids=["method", "long-header", "many-headers", "two-lengths", "length-and-chunked", "tls"],
)
async def test_what_is_no_http_is_400_in_our_form_and_ends_the_connection(
    client: Client, request_: bytes
) -> None:
    head, _, body = (await raw_exchange(client, request_)).partition(b"\r\n\r\n")
    assert b" 400 " in head.splitlines()[0]
    assert b"aiohttp" not in head
    assert b"Python" not in head
    assert json.loads(body)["detail"]["code"] == "bad_request"


@pytest.mark.parametrize("sent", [b"", b"GET /health HTTP/1.1\r\nHost:"], ids=["none", "half"])
async def test_a_connection_that_sends_no_whole_header_is_closed(
    impatient: Client, sent: bytes
) -> None:
    assert await raw_exchange(impatient, sent) == b""


async def test_a_connection_that_sent_a_request_is_kept_open(impatient: Client) -> None:
    reader, writer = await impatient.connect()
    for _ in range(2):
        writer.write(b"HEAD /health HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        assert b" 200 " in answer
        await asyncio.sleep(0.8)
    writer.close()


@pytest.mark.parametrize("path", ["/v1/meetings", "/v1/meetings/m1", "/v1/meetings/m1/segments"])
async def test_without_a_key_nothing_is_told(client: Client, path: str) -> None:
    answer = await client.http.get(path)
    assert await code_of(answer) == (401, "unauthorized")
    assert answer.headers["WWW-Authenticate"]


async def test_nothing_of_the_body_is_read_for_a_stranger(client: Client) -> None:
    head = f"POST {CHUNKS} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    reader, writer = await client.connect()
    writer.write(f"{head}Content-Length: 500\r\n\r\n".encode())
    status = await asyncio.wait_for(reader.readline(), 10)
    writer.close()
    assert b" 401 " in status


async def test_unknown_paths_and_methods_have_the_envelope(client: Client) -> None:
    assert await code_of(await client.http.get("/nowhere")) == (404, "not_found")
    assert await code_of(await client.http.get("/v1/meetings/a/b/c", headers=KEY)) == (
        404,
        "not_found",
    )
    answer = await client.http.patch("/v1/meetings/m1", headers=KEY)
    assert await code_of(answer) == (405, "method_not_allowed")
    assert set(answer.headers["Allow"].split(",")) == {"DELETE", "GET", "HEAD"}
    for method in ("TRACE", "PROPFIND", "PUT"):
        answer = await client.http.request(method, "/v1/meetings/m1", headers=KEY)
        assert answer.status == 405


async def test_an_expectation_that_nobody_can_meet_is_417_in_our_form(client: Client) -> None:
    ask = f"POST {CHUNKS} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nExpect: %s\r\n\r\n"
    head, _, body = (await raw_exchange(client, (ask % "cake").encode())).partition(b"\r\n\r\n")
    assert b" 417 " in head.splitlines()[0]
    assert json.loads(body)["detail"]["code"] == "expectation_failed"
    going_on = await raw_exchange(client, (ask % "100-Continue").encode())
    assert going_on.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 401 ")


async def test_the_committed_description_is_the_running_one(client: Client) -> None:
    """`make docs` writes it again."""
    served = await (await client.http.get("/openapi.json")).json()
    committed = json.loads((ROOT / "docs" / "openapi.json").read_text(encoding="utf-8"))
    assert served["info"].pop("version")
    assert committed["info"].pop("version") == __version__
    assert served == committed


async def test_head_answers_like_get_without_a_body(client: Client) -> None:
    for path in ("/health", "/openapi.json", "/docs"):
        head, get = await client.http.head(path), await client.http.get(path)
        assert head.status == get.status == 200
        assert head.headers["Content-Type"] == get.headers["Content-Type"]
        assert await head.read() == b""


async def test_a_database_that_is_away_is_503_with_retry_after(client: Client) -> None:
    answer = await client.http.get("/v1/meetings/m1", headers=KEY)
    assert await code_of(answer) == (503, "db_error")
    assert answer.headers["Retry-After"] == "7"
    answer = await client.http.get("/v1/meetings", headers=KEY)
    assert answer.headers["Retry-After"] == "1"


async def test_an_unforeseen_fault_is_a_counted_500_that_tells_nothing(
    client: Client, doors: Doors
) -> None:
    doors.fault = RuntimeError("postgresql://user:secret@host/db")
    answer = await client.http.post("/v1/meetings/start", json={}, headers=KEY)
    assert await code_of(answer) == (500, "internal")
    assert "secret" not in await answer.text()
    metrics = await (await client.http.get("/metrics", headers={"X-API-Key": "machine"})).text()
    counted = [one for one in metrics.splitlines() if 'status="500"' in one]
    (line,) = [one for one in counted if not one.endswith(" 0")]
    assert 'route="/v1/meetings/start"' in line
    assert len(counted) > 20, "every route shows its errors before there are any"


async def test_metrics_never_carry_a_path_or_an_unknown_method(client: Client) -> None:
    for number in range(5):
        await client.http.get(f"/v1/meetings/secret-{number}", headers=KEY)
        await client.http.get(f"/secret-{number}")
        await client.http.request("PROPFIND", "/health")
    text = await (await client.http.get("/metrics", headers={"X-API-Key": "machine"})).text()
    assert "secret" not in text.lower()
    assert 'route="/v1/meetings/{meeting_id}"' in text
    assert 'route="unmatched"' in text
    assert 'method="other"' in text


async def test_guarded_metrics_are_for_services_alone(client: Client) -> None:
    assert await code_of(await client.http.get("/metrics")) == (401, "unauthorized")
    assert await code_of(await client.http.get("/metrics", headers=KEY)) == (403, "forbidden")
    answer = await client.http.get("/metrics", headers={"X-API-Key": "machine"})
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")


async def test_ready_tells_codes_and_health_asks_nobody(client: Client, probe: Readying) -> None:
    assert await (await client.http.get("/ready")).json() == {"ready": True, "issues": []}
    probe.state = Readiness(ready=False, issues=("database_failed",))
    answer = await client.http.get("/ready")
    assert answer.status == 503
    assert await answer.json() == {"ready": False, "issues": ["database_failed"]}
    probe.fault = RuntimeError("postgresql://user:secret@host/db")
    answer = await client.http.get("/ready")
    assert await answer.json() == {"ready": False, "issues": ["readiness_failed"]}
    assert await (await client.http.get("/health")).json() == {"ok": True}


@pytest.mark.parametrize(
    "path", ["/health", "/ready", "/nowhere", "/v1/meetings", "/docs", "/docs/swagger-ui.css"]
)
async def test_every_answer_has_the_safe_headers_and_no_version(client: Client, path: str) -> None:
    answer = await client.http.get(path)
    await answer.read()
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "Cache-Control" in answer.headers
    assert "Server" not in answer.headers
    assert len(answer.headers["X-Trace-Id"]) == 32


async def test_a_trace_id_is_adopted_if_it_is_one_and_replaced_if_not(client: Client) -> None:
    mine, span = "0123456789abcdef" * 2, "a" * 16
    for headers in ({"X-Trace-Id": mine.upper()}, {"traceparent": f"00-{mine}-{span}-01"}):
        assert (await client.http.get("/health", headers=headers)).headers["X-Trace-Id"] == mine
    for wrong in ("x", mine + "0", '"}', "a" * 4000):
        answer = await client.http.get("/health", headers={"X-Trace-Id": wrong})
        assert answer.headers["X-Trace-Id"] != wrong


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
async def test_the_docs_page_loads_from_this_server_alone(client: Client, path: str) -> None:
    page = await client.http.get(path)
    assert (page.status, page.content_type) == (200, "text/html")
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    html = await page.text()
    assert "http:" not in html
    assert "https:" not in html
    assets = ("swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png", "docs.js")
    for asset in assets:
        assert f'"/docs/{asset}"' in html
        answer = await client.http.get(f"/docs/{asset}")
        assert (answer.status, bool(await answer.read())) == (200, True)
    assert "<style" not in html
    assert (await client.http.get("/docs/openapi.json")).status == 200
    for hidden in ("index.html", "..%2Fdocs.js", "swagger-ui.js"):
        assert (await client.http.get(f"/docs/{hidden}")).status == 404


async def test_a_process_without_the_api_serves_its_probes_alone(probe: Readying) -> None:
    app = build_probe_app(ProbeParts(Metrics("stt"), probe))
    async with TestClient(TestServer(app)) as client:
        for path in ("/health", "/ready", "/metrics"):
            assert (await client.get(path)).status == 200
        assert await code_of(await client.get("/v1/meetings")) == (404, "not_found")
