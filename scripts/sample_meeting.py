"""The bundled interview, sent through a service as a client would send it."""

from __future__ import annotations

import base64
import sys
import time
from typing import TYPE_CHECKING, Any

from own_service import PARTICIPANTS, SAMPLE, DemoError

if TYPE_CHECKING:
    from own_service import Api

CHUNK_BYTES = 3 * 16_000 * 2 * 2
"""Three seconds of 16 kHz stereo in 16 bits."""

WORK_TIMEOUT_S = 240.0


def start_meeting(api: Api, meeting_id: str) -> None:
    """Start a meeting for the sample: English, with its two participants."""
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
