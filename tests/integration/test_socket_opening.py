"""Sockets are opened, or refused by HTTP before the upgrade."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from interview_agent.web.live.limits import SocketLimits
from socket_server import SocketServer, served_sockets

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from interview_agent.adapters.postgres import Database
    from socket_client import Dialler


@pytest_asyncio.fixture
async def server(database: Database, tmp_path: Path) -> AsyncIterator[SocketServer]:
    limits, origins = SocketLimits(max_sockets=2), ("https://app.example.com",)
    async with served_sockets(database, tmp_path, limits=limits, origins=origins) as served:
        yield served


@pytest.fixture
def dial(server: SocketServer) -> Dialler:
    return server.dial


REFUSED = {
    "no key": (None, "/v1/ws", {}, 401, "unauthorized"),
    "wrong key": ("eve", "/v1/ws", {}, 401, "unauthorized"),
    "key in the address": ("alice", "/v1/ws?token=alice", {}, 401, "unauthorized"),
    "service at the user's path": ("machine", "/v1/ws", {}, 403, "forbidden"),
    "user at the service's path": ("alice", "/v1/ws/internal", {}, 403, "forbidden"),
    "foreign page": ("alice", "/v1/ws", {"Origin": "https://evil.example"}, 403, "forbidden"),
    "page of no origin": ("alice", "/v1/ws", {"Origin": "null"}, 403, "forbidden"),
    "no upgrade": ("alice", "/v1/ws", {"Upgrade": None}, 426, "upgrade_required"),
    "old version": ("alice", "/v1/ws", {"Sec-WebSocket-Version": "1"}, 400, "bad_request"),
    "other protocol": ("alice", "/v1/ws", {"Sec-WebSocket-Protocol": "chat"}, 400, "bad_request"),
}


async def test_each_refusal_is_http_with_the_envelope(dial: Dialler) -> None:
    for case, (key, path, headers, status, code) in REFUSED.items():
        answered = await dial.refusal(key, path, headers=headers)
        assert answered[:2] == (status, code), case
        assert "Server" not in answered[2]
        assert answered[2]["X-Trace-Id"]


async def test_only_get_opens_sockets(dial: Dialler) -> None:
    for method in ("HEAD", "POST", "OPTIONS"):
        async with dial.http.request(method, f"{dial.address}/v1/ws") as answer:
            assert answer.status == 405


@pytest.mark.parametrize(
    ("key", "path", "headers"),
    [
        ("alice", "/v1/ws", {}),
        ("machine", "/v1/ws/internal", {}),
        ("alice", "/v1/ws", {"Origin": "https://app.example.com"}),
        ("alice", "/v1/ws", {"Origin": "http://localhost:3000"}),
    ],
)
async def test_who_may_come_in_is_answered(
    dial: Dialler, key: str, path: str, headers: dict[str, str]
) -> None:
    talk = await dial.open(key, path, headers=headers)
    await talk.still_answers()


async def test_a_browser_shows_its_key_as_a_sub_protocol_that_nobody_repeats(
    dial: Dialler, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level("DEBUG")
    talk = await dial.open(
        None,
        protocols=("interview-agent.v1", "bearer.alice"),
        headers={"Origin": dial.address},
    )
    await talk.still_answers()
    assert talk.socket.protocol == "interview-agent.v1"
    await talk.socket.close()
    assert await dial.refusal(headers={"Sec-WebSocket-Protocol": "bearer.sesame"})
    printed = capsys.readouterr()
    for written in (caplog.text, printed.out, printed.err):
        assert "bearer" not in written
        assert "sesame" not in written


async def test_nothing_is_compressed(dial: Dialler) -> None:
    talk = await dial.open(compress=15)
    assert not talk.socket.compress


async def test_one_socket_too_many_is_told_to_come_back(
    dial: Dialler, server: SocketServer
) -> None:
    talks = [await dial.open(), await dial.open("machine", "/v1/ws/internal")]
    status, code, headers = await dial.refusal("alice")
    assert (status, code) == (503, "backpressure")
    assert int(headers["Retry-After"]) > 0
    assert server.counted('agent_sockets_open{contour="user"}') == 1
    assert server.counted('agent_sockets_open{contour="service"}') == 1
    await talks[0].socket.close()
    await (await dial.open()).still_answers()


async def test_how_long_a_socket_is_open_is_no_latency_of_ours(
    dial: Dialler, server: SocketServer
) -> None:
    talk = await dial.open()
    await talk.socket.close()
    await server.sockets.close()
    labels = 'method="GET",route="/v1/ws",service="api"'
    assert server.counted(f"agent_http_request_latency_ms_count{{{labels}}}") == 0
    assert server.counted(
        'agent_requests_total{method="GET",route="/v1/ws",service="api",status="101"}'
    )
