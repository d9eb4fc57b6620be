"""Sends many meetings at once through the service and compares what came of them with limits.

First over HTTP, then as many over the WebSocket of users; last it knocks at each of both WebSocket
contours with the identity of the other. Against a running service with `--base-url` or
`E2E_BASE_URL` (keys: `--api-key`, `E2E_API_KEY`; with `--service-key`, `E2E_SERVICE_KEY` what was
given up on is counted too, and the user contour is tried with that key), else against one of its
own with `STT_PROVIDER=mock`. With `CI=true` the limits are those of pipelines. Exit code 0 only if
every limit was kept, 3 where nobody answers.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import os
import secrets
import sys
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from aiohttp import ClientError, ClientSession, ClientTimeout, WSServerHandshakeError

from e2e_local import FAILED, SmokeFailed, wait_for_health
from interview_agent.client.connection import Patience, connected, raise_error
from interview_agent.domain.errors import AgentError
from load_verdicts import BY_HAND, IN_PIPELINES, Figures, Results, judge
from own_service import DemoError, passing_service

if TYPE_CHECKING:
    from collections.abc import Sequence

    from interview_agent.client.connection import Connection
    from load_verdicts import Limits, Verdict

CHUNK = bytes(32_000)
"""A second of silence: 16 kHz mono in 16 bits.

As a frame it is longer than `LIVE_CHUNK_MS` asks for, so it is made durable at once and no time is
measured in which the service waits for more frames.
"""

POLL_S = 0.3
ANSWER_S = 30.0
DONE_S = 2 * BY_HAND.done_p95_s
REQUEST = ClientTimeout(total=ANSWER_S)
PATIENCE = Patience(answer_s=ANSWER_S)
USERS, SERVICES = "/v1/ws", "/v1/ws/internal"


class HttpLoad:
    """Sends a meeting with requests and asks until it is done."""

    way = "HTTP"

    def __init__(self, session: ClientSession, options: argparse.Namespace) -> None:
        self.figures = Figures(options.meetings)
        self._session = session
        self._chunks = options.chunks

    async def follow(self, meeting_id: str) -> None:
        """Send one meeting and follow it to its end."""
        path = f"/v1/meetings/{meeting_id}"
        await self._call("POST", "/v1/meetings/start", {"meeting_id": meeting_id})
        started = time.monotonic()
        body = {"codec": "pcm", "content_b64": base64.b64encode(CHUNK).decode()}
        for seq in range(self._chunks):
            sent = time.monotonic()
            await self._call("POST", f"{path}/chunks", body | {"seq": seq})
            self.figures.ack_ms.append((time.monotonic() - sent) * 1000)
        last = {"last_seq": self._chunks - 1}
        await self._call("POST", f"{path}/finish", {"tracks": {"main": last}})
        async with asyncio.timeout(DONE_S):
            while (found := await self._call("GET", path))["status"] != "done":
                if found["status"] == "failed":
                    message = f"{meeting_id} failed: {found['stages']}"
                    raise SmokeFailed(message)
                await asyncio.sleep(POLL_S)
        check_report(found)
        self.figures.done_s.append(time.monotonic() - started)

    async def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        self.figures.calls += 1
        return await call(self._session, method, path, body)


class SocketLoad:
    """Sends a meeting as frames of a socket and is told there when it is done."""

    way = "WebSocket"

    def __init__(self, session: ClientSession, options: argparse.Namespace) -> None:
        self.figures = Figures(options.meetings)
        self._session = session
        self._frames = options.chunks

    async def follow(self, meeting_id: str) -> None:
        """Send one meeting and follow it to its end."""
        async with connected(self._session, USERS, PATIENCE) as connection:
            await self._say(connection, "session.start", meeting_id)
            await until(connection, "session.ready")
            started = time.monotonic()
            for number in range(self._frames):
                self.figures.calls += 1
                sent = time.monotonic()
                await connection.send_frame(number, CHUNK)
                await until(connection, "audio.ack", frame=number)
                self.figures.ack_ms.append((time.monotonic() - sent) * 1000)
            await self._say(connection, "meeting.finish", meeting_id)
            await until(connection, "meeting.status", limit_s=DONE_S, status="done")
            took_s = time.monotonic() - started
        check_report(await call(self._session, "GET", f"/v1/meetings/{meeting_id}"))
        self.figures.done_s.append(took_s)

    async def _say(self, connection: Connection, event_type: str, meeting_id: str) -> None:
        self.figures.calls += 1
        await connection.send(event_type, meeting_id=meeting_id)


async def until(
    connection: Connection, event_type: str, *, limit_s: float = ANSWER_S, **fields: Any
) -> None:
    """Wait for a message of a kind with these fields; others are passed over.

    Raises `SmokeFailed` where the meeting failed, `AgentError` for any error, and `TimeoutError`.
    """
    wanted = {"event_type": event_type, **fields}
    async with asyncio.timeout(limit_s):
        while not wanted.items() <= (message := await connection.receive()).items():
            if message.get("event_type") == "error":
                raise_error(message)
            if message.get("status") == "failed":
                failed = f"{message['meeting_id']} failed"
                raise SmokeFailed(failed)


async def call(
    session: ClientSession, method: str, path: str, body: dict[str, Any] | None = None
) -> Any:
    """Send JSON, return JSON. Raises `SmokeFailed` for a status of refusal."""
    async with session.request(method, path, json=body) as answer:
        if answer.status >= HTTPStatus.BAD_REQUEST:
            message = f"{method} {path} was answered with {answer.status}"
            raise SmokeFailed(message)
        return await answer.json()


def check_report(meeting: dict[str, Any]) -> None:
    """Raise `SmokeFailed` for a meeting without a report."""
    if not meeting["report"]:
        message = f"{meeting['meeting_id']} is done without a report"
        raise SmokeFailed(message)


async def send_all(load: HttpLoad | SocketLoad, concurrency: int) -> Figures:
    """Send every meeting, so many of them side by side, and return what was measured."""
    figures, places = load.figures, asyncio.Semaphore(concurrency)
    prefix = f"load-{int(time.time())}-{secrets.token_hex(2)}"

    async def meeting(number: int) -> None:
        async with places:
            try:
                await load.follow(f"{prefix}-{number}")
            except (ClientError, OSError, TimeoutError, SmokeFailed, AgentError) as error:
                figures.faults.append(f"{load.way}: {str(error) or type(error).__name__}")
            done, failed = len(figures.done_s), len(figures.faults)
            print(f"{load.way}: {done} done, {failed} failed of {figures.meetings}", flush=True)

    started = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for number in range(figures.meetings):
            group.create_task(meeting(number))
    figures.took_s = time.monotonic() - started
    return figures


def credential(key: str) -> dict[str, str]:
    """Return the headers that show a key, or none."""
    return {"X-API-Key": key} if key else {}


async def given_up(base_url: str, service_key: str) -> int | None:
    """Return how much work lies in the dead letters, or None without a key to ask."""
    if not service_key:
        return None
    async with (
        ClientSession(base_url, headers=credential(service_key), timeout=REQUEST) as session,
        session.get("/v1/admin/queues/health", raise_for_status=True) as answer,
    ):
        return sum(queue["dlq_depth"] for queue in (await answer.json())["queues"])


async def handshake_status(base_url: str, path: str, key: str) -> int:
    """Ask for a WebSocket and return the status of the answer: 101 where it was opened."""
    async with ClientSession(base_url, headers=credential(key), timeout=REQUEST) as session:
        try:
            async with session.ws_connect(path):
                return HTTPStatus.SWITCHING_PROTOCOLS
        except WSServerHandshakeError as error:
            return error.status


async def measure(base_url: str, options: argparse.Namespace) -> Results:
    """Send everything and return what was measured. Raises `SmokeFailed`."""
    await asyncio.to_thread(wait_for_health, base_url)
    user, service = options.api_key, options.service_key
    before = await given_up(base_url, service)
    async with ClientSession(base_url, headers=credential(user), timeout=REQUEST) as session:
        http = await send_all(HttpLoad(session, options), options.concurrency)
        socket = await send_all(SocketLoad(session, options), options.concurrency)
    after = await given_up(base_url, service)
    lost = None if after is None or before is None else after - before
    # Without a key, too: where nobody needs one, whoever has none is a user.
    user_status = await handshake_status(base_url, SERVICES, user)
    service_status = await handshake_status(base_url, USERS, service) if service else None
    strangers = {f"user at {SERVICES}": user_status, f"service key at {USERS}": service_status}
    return Results(http, socket, lost, strangers)


def tell(results: Results, verdicts: Sequence[Verdict]) -> int:
    """Print the result and return the exit code."""
    http, socket = results.http, results.socket
    print(f"\n{http.meetings} meetings over HTTP, {http.calls} requests in {http.took_s:.1f} s")
    print(f"{socket.meetings} over WebSocket, {socket.calls} messages in {socket.took_s:.1f} s")
    words = {True: "ok", False: "MISSED", None: "-"}
    for each in verdicts:
        print(f"  {each.name:<37} {each.value:<14} {each.limit:<18} {words[each.kept]}")
    for fault in sorted({*http.faults, *socket.faults})[:5]:
        print(f"  fault: {fault[:300]}")
    missed = any(each.kept is False for each in verdicts)
    print(f"load smoke {'FAILED' if missed else 'OK'}")
    return FAILED if missed else 0


def run(options: argparse.Namespace, limits: Limits) -> int:
    """Measure a running service, or one of our own. Raises `SmokeFailed`."""
    if options.base_url:
        results = asyncio.run(measure(options.base_url.rstrip("/"), options))
        return tell(results, judge(results, limits))
    options.api_key, options.service_key = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
    own = {"STT_PROVIDER": "mock", "SERVICE_API_KEYS": options.service_key}
    with passing_service(options.api_key, **own) as address:
        results = asyncio.run(measure(address, options))
    return tell(results, judge(results, limits))


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--base-url", default=os.environ.get("E2E_BASE_URL"))
    parser.add_argument("--api-key", default=os.environ.get("E2E_API_KEY", ""))
    parser.add_argument("--service-key", default=os.environ.get("E2E_SERVICE_KEY", ""))
    parser.add_argument("--meetings", type=int, default=20, help="over HTTP, and over WebSocket")
    parser.add_argument("--chunks", type=int, default=3, help="of each meeting, or frames")
    parser.add_argument("--concurrency", type=int, default=6, help="meetings at once")
    options = parser.parse_args(arguments)
    limits = IN_PIPELINES if os.environ.get("CI") == "true" else BY_HAND
    try:
        return run(options, limits)
    except (SmokeFailed, DemoError, ClientError) as error:
        print(f"load smoke FAILED: {error}", file=sys.stderr)
        return error.code if isinstance(error, SmokeFailed) else FAILED


if __name__ == "__main__":
    sys.exit(main())
