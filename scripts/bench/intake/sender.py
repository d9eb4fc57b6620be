"""A process that sends one load, so that sending is not what is measured.

Reads a `Load` from its standard input, one line of JSON, and prints its `Outcome`.
"""

from __future__ import annotations

import asyncio
import resource
import sys

from intake.load import Load
from intake.sockets import send_streams
from intake.uploads import send_uploads


def main() -> None:
    """Send what standard input asks for."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    load = Load.from_json(sys.stdin.readline())
    outcome = asyncio.run((send_streams if load.kind == "streams" else send_uploads)(load))
    used = resource.getrusage(resource.RUSAGE_SELF)
    outcome.cpu_s = used.ru_utime + used.ru_stime
    print(outcome.to_json())


if __name__ == "__main__":
    main()
