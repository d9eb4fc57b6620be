"""Sends one meeting through the service: start, chunks, then a transcript and a report must come.

Against a running service with `--base-url` or `E2E_BASE_URL` (key: `--api-key`, `E2E_API_KEY`),
else against one of its own on the embedded default with `STT_PROVIDER=mock`. Exit code 3 where
nobody answers, 4 where the meeting did not come through.
"""

from __future__ import annotations

import argparse
import os
import secrets
import sys
import time
import urllib.request
from typing import TYPE_CHECKING

from own_service import Api, DemoError, passing_service
from sample_meeting import send_sample, start_meeting, wait_until_done

if TYPE_CHECKING:
    from collections.abc import Sequence

ANSWER_TIMEOUT_S = 90.0
UNREACHABLE, FAILED = 3, 4


class SmokeFailed(Exception):
    """The smoke did not pass; `code` is the exit code, the text says why."""

    def __init__(self, message: str, code: int = FAILED) -> None:
        super().__init__(message)
        self.code = code


def ask_health(base_url: str) -> None:
    """Return once `/health` has answered 200. Raises `OSError` for any other answer, or none."""
    with urllib.request.urlopen(f"{base_url}/health", timeout=5) as answer:
        answer.read()


def wait_for_health(base_url: str, timeout_s: float = ANSWER_TIMEOUT_S) -> None:
    """Wait until `/health` answers 200. Raises `SmokeFailed`."""
    ends = time.monotonic() + timeout_s
    while True:
        try:
            return ask_health(base_url)
        except OSError as error:
            if time.monotonic() > ends:
                message = f"nobody answers at {base_url}/health after {timeout_s:.0f} s: {error}"
                raise SmokeFailed(message, UNREACHABLE) from error
        time.sleep(0.5)


def smoke(base_url: str, key: str) -> None:
    """Send one meeting and print the verdict. Raises `SmokeFailed`."""
    wait_for_health(base_url)
    api, meeting_id = Api(base_url, key), f"e2e-{int(time.time())}-{secrets.token_hex(3)}"
    started = time.monotonic()
    try:
        start_meeting(api, meeting_id)
        count = send_sample(api, meeting_id)
        meeting = wait_until_done(api, meeting_id)
    except (DemoError, OSError) as error:
        raise SmokeFailed(str(error)) from error
    if not meeting["enhanced_transcript"]:
        raise SmokeFailed("the meeting is done and its transcript is empty")
    if not meeting["report"]:
        raise SmokeFailed("the meeting is done and has no report")
    lines = len(meeting["enhanced_transcript"].splitlines())
    took_s = time.monotonic() - started
    print(f"e2e smoke OK: {count} chunks, {lines} lines and a report after {took_s:.1f} s")


def smoke_of_own(stt_provider: str) -> None:
    """Start a service, send one meeting, stop it again. Raises `SmokeFailed`."""
    key = secrets.token_urlsafe(24)
    try:
        with passing_service(key, STT_PROVIDER=stt_provider) as address:
            smoke(address, key)
    except DemoError as error:
        raise SmokeFailed(str(error)) from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--base-url", default=os.environ.get("E2E_BASE_URL"))
    parser.add_argument("--api-key", default=os.environ.get("E2E_API_KEY", ""))
    parser.add_argument(
        "--stt", choices=("mock", "whisper_local"), default="mock", help="of a service of our own"
    )
    options = parser.parse_args(arguments)
    try:
        if options.base_url:
            smoke(options.base_url.rstrip("/"), options.api_key)
        else:
            smoke_of_own(options.stt)
    except SmokeFailed as error:
        print(f"e2e smoke FAILED: {error}", file=sys.stderr)
        return error.code
    return 0


if __name__ == "__main__":
    sys.exit(main())
