"""Runs the main job once: the bundled interview goes in, a transcript and a report come out.

Starts the whole service on its embedded default with a free port and a folder of its own, so
several copies can run side by side, and stops it again.
"""

from __future__ import annotations

import base64
import json
import secrets
import sys
import time
from typing import Any

from interview_agent.domain.analytics.report_text import format_report
from own_service import PARTICIPANTS, ROOT, SAMPLE, Api, DemoError, own_folder, service

CHUNK_BYTES = 3 * 16_000 * 2 * 2
"""Three seconds of 16 kHz stereo in 16 bits."""

WORK_TIMEOUT_S = 240.0


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
                    "context": {"participants": PARTICIPANTS},
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
