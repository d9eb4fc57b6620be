"""Runs the main job once: the bundled interview goes in, a transcript and a report come out.

Starts the whole service on its embedded default with a free port and a folder of its own, so
several copies can run side by side, and stops it again.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from interview_agent.domain.analytics.report_text import format_report
from interview_agent.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = ROOT / "config" / "sample" / "interview_en.stereo.wav"
CHUNK_BYTES = 3 * 16_000 * 2 * 2
"""Three seconds of 16 kHz stereo in 16 bits."""

START_TIMEOUT_S = 120.0
WORK_TIMEOUT_S = 240.0
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
def service(folder: Path, key: str) -> Iterator[str]:
    """Run every role until the block ends, and return the address."""
    settings = {field.upper() for field in Settings.model_fields}
    environment = {
        name: value
        for name, value in os.environ.items()
        if name.removesuffix("_FILE") not in settings
    }
    environment |= {"DATA_DIR": str(folder / "data"), "API_PORT": "0", "API_KEYS": key}
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


def send_sample(api: Api, meeting_id: str) -> int:
    """Send the sample in chunks of three seconds and finish the meeting; return their number."""
    sound = SAMPLE.read_bytes()
    chunks = [sound[at : at + CHUNK_BYTES] for at in range(0, len(sound), CHUNK_BYTES)]
    for seq, chunk in enumerate(chunks):
        api.call(
            "POST",
            f"/v1/meetings/{meeting_id}/chunks",
            {
                "seq": seq,
                "content_b64": base64.b64encode(chunk).decode(),
                "codec": "wav",
                "channels": 2,
                "split_channels": True,
                "channel_tracks": ["interviewer", "candidate"],
            },
        )
        show(f"sending: {seq + 1} of {len(chunks)} chunks")
    print()
    last = {"last_seq": len(chunks) - 1}
    api.call(
        "POST",
        f"/v1/meetings/{meeting_id}/finish",
        {"tracks": {"interviewer": last, "candidate": last}},
    )
    return len(chunks)


def wait_until_done(api: Api, meeting_id: str) -> dict[str, Any]:
    """Follow the meeting until it is done, showing what it does."""
    started = time.monotonic()
    while time.monotonic() - started < WORK_TIMEOUT_S:
        meeting = api.call("GET", f"/v1/meetings/{meeting_id}")
        done = meeting["chunks"]["done"]
        total = sum(meeting["chunks"].values())
        running = [stage["stage"] for stage in meeting["stages"] if stage["state"] == "running"]
        what = ", ".join(dict.fromkeys(running)) or "waiting"
        show(f"{meeting['status']}: {done} of {total} chunks transcribed ({what})")
        if meeting["status"] == "done":
            print(f"\nready {time.monotonic() - started:.1f} s after the last chunk\n")
            return meeting
        if meeting["status"] == "failed":
            message = f"the meeting failed: {meeting['stages']}"
            raise DemoError(message)
        time.sleep(0.3)
    message = f"the meeting was not done within {WORK_TIMEOUT_S:.0f} s"
    raise DemoError(message)


def show(progress: str) -> None:
    """Print one line of progress over the one before, or a line of its own into a file."""
    if sys.stdout.isatty():
        print(f"\r\033[K{progress}", end="", flush=True)
    else:
        print(progress, flush=True)


def transcript_lines(api: Api, meeting_id: str) -> list[str]:
    """Return the enhanced transcript, a line for each segment, with its time and speaker."""
    segments = api.call("GET", f"/v1/meetings/{meeting_id}/segments")["segments"]
    return [
        f"[{int(segment['start'] // 60):02d}:{segment['start'] % 60:04.1f}] "
        f"{segment['speaker']}: {segment['text']}"
        for segment in segments
    ]


def run() -> None:
    """Run the demonstration in a folder of its own."""
    with own_folder() as folder:
        print("starting PostgreSQL, Valkey and every role …", flush=True)
        started = time.monotonic()
        key = secrets.token_urlsafe(24)
        with service(folder, key) as address:
            print(f"ready at {address} after {time.monotonic() - started:.1f} s", flush=True)
            api = Api(address, key)
            meeting_id = f"demo-{secrets.token_hex(4)}"
            api.call(
                "POST",
                "/v1/meetings/start",
                {
                    "meeting_id": meeting_id,
                    "mode": "postmeeting",
                    "language": "en",
                    "consent": "granted",
                    "context": {
                        "participants": [
                            {"track": "interviewer", "name": "Interviewer", "role": "interviewer"},
                            {"track": "candidate", "name": "Candidate", "role": "candidate"},
                        ]
                    },
                },
            )
            send_sample(api, meeting_id)
            meeting = wait_until_done(api, meeting_id)
            transcript = "\n".join(transcript_lines(api, meeting_id))
            report = format_report(meeting["report"], "en")
        print(f"{transcript}\n\n{report}")
        results = folder / meeting_id
        results.mkdir()
        (results / "transcript.txt").write_text(transcript + "\n", encoding="utf-8")
        (results / "report.txt").write_text(report + "\n", encoding="utf-8")
        (results / "meeting.json").write_text(
            json.dumps(meeting, ensure_ascii=False, indent=2) + "\n", encoding="utf-8"
        )
        print(f"\nfiles: {results.relative_to(ROOT)}/transcript.txt, report.txt, meeting.json")
        print(f"log:   {(folder / 'service.log').relative_to(ROOT)}")


if __name__ == "__main__":
    try:
        run()
    except DemoError as error:
        sys.exit(f"demo: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
