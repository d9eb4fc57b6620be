"""A service of one's own for a demonstration: its folder, its process and its public API.

Several copies can run side by side: each takes a free port and a folder of its own.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TextIO

from interview_agent.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = ROOT / "config" / "sample" / "interview_en.stereo.wav"
PARTICIPANTS = [
    {"track": "interviewer", "name": "Interviewer", "role": "interviewer"},
    {"track": "candidate", "name": "Candidate", "role": "candidate"},
]
"""Who speaks on the channels of the sample, from left to right."""

START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 40.0


class DemoError(Exception):
    """The demonstration did not come to its end; the text says where."""


class Api:
    """The few calls of the public API that the demonstration makes."""

    def __init__(self, base_url: str, key: str) -> None:
        self._base_url = base_url
        self._key = key

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Send JSON, return JSON."""
        request = urllib.request.Request(
            self._base_url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"X-API-Key": self._key, "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                parsed: dict[str, Any] = json.load(answer)
        except urllib.error.HTTPError as error:
            message = f"{method} {path} was answered with {error.code}: {error.read()[:300]!r}"
            raise DemoError(message) from error
        return parsed


@contextmanager
def own_folder() -> Iterator[Path]:
    """Take the first folder below `.demo` that no other copy uses."""
    for number in range(1, 100):
        folder = ROOT / ".demo" / f"run-{number}"
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield folder
            return
    message = "a hundred copies run already"
    raise DemoError(message)


@contextmanager
def passing_service(key: str, **chosen: str) -> Iterator[str]:
    """Run a service whose folder is new and goes with it, and return the address."""
    with TemporaryDirectory(prefix="ia-smoke-") as folder:
        print("starting a service of our own …", flush=True)
        with service(Path(folder), key, **chosen) as address:
            yield address


@contextmanager
def service(folder: Path, key: str, **chosen: str) -> Iterator[str]:
    """Run every role with the `chosen` settings until the block ends, and return the address."""
    settings = {field.upper() for field in Settings.model_fields}
    environment = {
        name: value
        for name, value in os.environ.items()
        if name.removesuffix("_FILE") not in settings
    }
    environment |= {"DATA_DIR": str(folder / "data"), "API_PORT": "0", "API_KEYS": key} | chosen
    with (folder / "service.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "interview_agent", "--role=all"],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        try:
            assert process.stdout is not None  # noqa: S101 - it is a pipe
            yield wait_until_ready(process.stdout, folder / "service.log")
            process.send_signal(signal.SIGTERM)
            if process.wait(STOP_TIMEOUT_S) != 0:
                message = f"the service ended with code {process.returncode}"
                raise DemoError(message)
        finally:
            process.kill()
            process.wait()


def wait_until_ready(output: TextIO, log: Path) -> str:
    """Read what the service prints until it names its address."""
    deadline_s = time.monotonic() + START_TIMEOUT_S
    for line in output:
        if line.startswith("Interview Agent is ready at "):
            return line.split()[-1]
        if time.monotonic() > deadline_s:
            break
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
    message = f"the service did not start:\n{tail}"
    raise DemoError(message)
