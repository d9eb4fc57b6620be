"""Sends many meetings at once through the service and compares what came of them with limits.

Against a running service with `--base-url` or `E2E_BASE_URL` (keys: `--api-key`, `E2E_API_KEY`;
with `--service-key`, `E2E_SERVICE_KEY` what was given up on is counted too), else against one of
its own with `STT_PROVIDER=mock`. With `CI=true` the limits are those of pipelines. Exit code 0 only
if every limit was kept, 3 where nobody answers.
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

from aiohttp import ClientError, ClientSession, ClientTimeout

from e2e_local import FAILED, SmokeFailed, wait_for_health
from load_verdicts import BY_HAND, IN_PIPELINES, Figures, judge
from own_service import DemoError, passing_service

if TYPE_CHECKING:
    from collections.abc import Sequence

    from load_verdicts import Limits, Verdict

CHUNK = bytes(32_000)
"""A second of silence: 16 kHz mono in 16 bits."""

POLL_S = 0.3
REQUEST = ClientTimeout(total=30)


class Load:
    """Meetings that are sent side by side."""

    def __init__(self, session: ClientSession, figures: Figures, chunks: int) -> None:
        self._session = session
        self._figures = figures
        self._chunks = chunks
        self._prefix = f"load-{int(time.time())}-{secrets.token_hex(2)}"

    async def meeting(self, number: int, places: asyncio.Semaphore) -> None:
        """Send one meeting and follow it to its end."""
        async with places:
            try:
                await self._follow(f"{self._prefix}-{number}")
            except (ClientError, OSError, TimeoutError, SmokeFailed) as error:
                self._figures.faults.append(str(error) or type(error).__name__)
            done, failed = len(self._figures.done_s), len(self._figures.faults)
            print(f"{done} done, {failed} failed of {self._figures.meetings}", flush=True)

    async def _follow(self, meeting_id: str) -> None:
        path = f"/v1/meetings/{meeting_id}"
        await self._call("POST", "/v1/meetings/start", {"meeting_id": meeting_id})
        started = time.monotonic()
        body = {"codec": "pcm", "content_b64": base64.b64encode(CHUNK).decode()}
        for seq in range(self._chunks):
            sent = time.monotonic()
            await self._call("POST", f"{path}/chunks", body | {"seq": seq})
            self._figures.ingest_ms.append((time.monotonic() - sent) * 1000)
        last = {"last_seq": self._chunks - 1}
        await self._call("POST", f"{path}/finish", {"tracks": {"main": last}})
        async with asyncio.timeout(2 * BY_HAND.done_p95_s):
            while (found := await self._call("GET", path))["status"] != "done":
                if found["status"] == "failed":
                    message = f"{meeting_id} failed: {found['stages']}"
                    raise SmokeFailed(message)
                await asyncio.sleep(POLL_S)
        if not found["report"]:
            message = f"{meeting_id} is done without a report"
            raise SmokeFailed(message)
        self._figures.done_s.append(time.monotonic() - started)

    async def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        self._figures.calls += 1
        async with self._session.request(method, path, json=body) as answer:
            if answer.status >= HTTPStatus.BAD_REQUEST:
                message = f"{method} {path} was answered with {answer.status}"
                raise SmokeFailed(message)
            return await answer.json()


async def given_up(base_url: str, service_key: str) -> int | None:
    """Return how much work lies in the dead letters, or None without a key to ask."""
    if not service_key:
        return None
    headers = {"X-API-Key": service_key}
    async with (
        ClientSession(base_url, headers=headers, timeout=REQUEST) as session,
        session.get("/v1/admin/queues/health", raise_for_status=True) as answer,
    ):
        return sum(queue["dlq_depth"] for queue in (await answer.json())["queues"])


async def measure(base_url: str, options: argparse.Namespace) -> Figures:
    """Send everything and return what was measured. Raises `SmokeFailed`."""
    await asyncio.to_thread(wait_for_health, base_url)
    figures = Figures(meetings=options.meetings)
    before = await given_up(base_url, options.service_key)
    headers = {"X-API-Key": options.api_key} if options.api_key else {}
    started = time.monotonic()
    async with ClientSession(base_url, headers=headers, timeout=REQUEST) as session:
        load = Load(session, figures, options.chunks)
        places = asyncio.Semaphore(options.concurrency)
        async with asyncio.TaskGroup() as group:
            for number in range(options.meetings):
                group.create_task(load.meeting(number, places))
    figures.took_s = time.monotonic() - started
    after = await given_up(base_url, options.service_key)
    figures.given_up = None if after is None or before is None else after - before
    return figures


def tell(figures: Figures, verdicts: Sequence[Verdict]) -> int:
    """Print the result and return the exit code."""
    print(f"\n{figures.meetings} meetings, {figures.calls} requests in {figures.took_s:.1f} s")
    words = {True: "ok", False: "MISSED", None: "-"}
    for each in verdicts:
        print(f"  {each.name:<27} {each.value:<14} {each.limit:<18} {words[each.kept]}")
    for fault in sorted(set(figures.faults))[:5]:
        print(f"  fault: {fault[:300]}")
    missed = any(each.kept is False for each in verdicts)
    print(f"load smoke {'FAILED' if missed else 'OK'}")
    return FAILED if missed else 0


def run(options: argparse.Namespace, limits: Limits) -> int:
    """Measure a running service, or one of our own. Raises `SmokeFailed`."""
    if options.base_url:
        figures = asyncio.run(measure(options.base_url.rstrip("/"), options))
        return tell(figures, judge(figures, limits))
    options.api_key, options.service_key = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
    own = {"STT_PROVIDER": "mock", "SERVICE_API_KEYS": options.service_key}
    with passing_service(options.api_key, **own) as address:
        figures = asyncio.run(measure(address, options))
    return tell(figures, judge(figures, limits))


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--base-url", default=os.environ.get("E2E_BASE_URL"))
    parser.add_argument("--api-key", default=os.environ.get("E2E_API_KEY", ""))
    parser.add_argument("--service-key", default=os.environ.get("E2E_SERVICE_KEY", ""))
    parser.add_argument("--meetings", type=int, default=20)
    parser.add_argument("--chunks", type=int, default=3, help="of each meeting")
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
