"""Break the connection of one live recording again and again, then compare all accounts of it.

Every frame must be acknowledged once, every event be seen once and in order, and the bytes in the
store must be those that were sent. The same seed sends the same bytes and plans the same cuts.
Exits 0 only if every account agrees.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from live_disconnects import PIECE_BYTES, judge, record_with_disconnects
from running_agents import Agents


async def run(disconnects: int, seed: int) -> int:
    """Run one recording with the default servers and return the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        agents = Agents(Path(folder), {})
        try:
            agent = agents.make(STT_PROVIDER="mock")
            await agent.start()
            began_s = time.monotonic()
            journal = await record_with_disconnects(
                agent, "torn", disconnects=disconnects, seed=seed
            )
            wrong = await judge(agent, journal, agent.folder / "data" / "chunks")
            print(
                f"{journal.cuts} cuts, {journal.connections} sessions, "
                f"{len(journal.sent) // PIECE_BYTES} frames, "
                f"{len(journal.of_type('audio.ack'))} acks, "
                f"{len(journal.of_type('transcript.update'))} updates "
                f"in {time.monotonic() - began_s:.0f} s"
            )
            await agent.stop()
        finally:
            await agents.close()
    for account in wrong:
        print(f"does not agree: {account}")
    return 1 if wrong else 0


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--disconnects", type=int, default=100)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1 << 32))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    return asyncio.run(run(options.disconnects, options.seed))


if __name__ == "__main__":
    sys.exit(main())
