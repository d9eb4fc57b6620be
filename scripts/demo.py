"""Runs the main job once: the bundled interview goes in, a transcript and a report come out.

Starts the whole service on its embedded default with a free port and a folder of its own, so
several copies can run side by side, and stops it again.
"""

from __future__ import annotations

import json
import secrets
import sys
import time

from interview_agent.domain.analytics.report_text import format_report
from own_service import ROOT, Api, DemoError, own_folder, service
from sample_meeting import send_sample, start_meeting, wait_until_done


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
            start_meeting(api, meeting_id)
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
