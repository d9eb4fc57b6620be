"""Runs a gateway that follows our contract, to try the connector without any platform.

Everybody it lets speak says what stands in a wav file. `/_fake` has its knobs: what goes wrong,
who is there, what it was asked (`scripts/fake_sberjazz/knobs.py`).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
from pathlib import Path

from fake_sberjazz import FakeGateway, Voice, read_voice, serve


def _voice(text: str) -> Voice:
    name, _, path = text.rpartition("=")
    return read_voice(name or "Speaker", Path(path))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8099, help="port; 0 takes a free one")
    parser.add_argument("--token", help="bearer token that is asked for")
    parser.add_argument("--old", action="store_true", help="speak the original paths alone")
    parser.add_argument("--pace", type=float, default=1.0, help="speak so many times as fast")
    parser.add_argument(
        "--voice",
        action="append",
        default=[],
        type=_voice,
        metavar="NAME=FILE",
        help="a participant and a wav file in 16 bits; may be repeated",
    )
    return parser.parse_args()


async def run(arguments: argparse.Namespace) -> None:
    """Serve until a signal."""
    gateway = FakeGateway(arguments.voice, token=arguments.token)
    gateway.old, gateway.pace = arguments.old, arguments.pace
    stop = asyncio.Event()
    for each in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(each, stop.set)
    async with serve(gateway, host=arguments.host, port=arguments.port):
        print(f"fake gateway is ready at {gateway.address}", flush=True)
        await stop.wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run(_arguments()))
