"""Break the connection of one live recording again and again, then compare all accounts of it.

Every frame must be acknowledged once, every event be seen once and in order, and the bytes in the
store must be those that were sent. With `--speech` real speech is heard by the real model, at its
own pace, and then once more without a cut: the transcripts must not differ. The same seed plans the
same cuts. Exits 0 only if every account agrees.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import secrets
import sys
import tempfile
import time
import wave
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from interview_agent.client.sound import mix
from live_disconnects import HURRY_S, PIECE_BYTES, judge, noise, over_and_over, record
from real_speech import edits
from running_agents import Agents

if TYPE_CHECKING:
    from live_disconnects import Journal
    from running_agents import Agent

ROOT = Path(__file__).resolve().parents[1]
SPEECH = ROOT / "config" / "sample" / "interview_en.stereo.wav"
SPEECH_PACE_S = 0.1


async def torn_noise(agent: Agent, disconnects: int, chance: random.Random) -> list[str]:
    """Send noise over a connection that breaks; return every account that does not agree."""
    journal = await record(
        agent,
        "torn",
        noise(chance),
        is_enough=lambda proxy, _: proxy.cuts >= disconnects,
        chance=chance,
        pace_s=HURRY_S,
    )
    show(journal)
    return await judge(agent, journal, agent.folder / "data" / "chunks")


async def torn_speech(agent: Agent, disconnects: int, chance: random.Random) -> list[str]:
    """Send speech over a connection that breaks and over one that does not, and compare both."""
    with wave.open(str(SPEECH)) as file:
        speech = mix(file.readframes(file.getnframes()), file.getnchannels())
    torn = await record(
        agent,
        "torn",
        over_and_over(speech),
        is_enough=lambda proxy, _: proxy.cuts >= disconnects,
        chance=chance,
        pace_s=SPEECH_PACE_S,
    )
    show(torn)
    whole = await record(
        agent,
        "whole",
        over_and_over(speech),
        is_enough=lambda _, journal: len(journal.sent) >= len(torn.sent),
        pace_s=SPEECH_PACE_S,
    )
    show(whole)
    texts = [
        (await agent.get(f"/v1/meetings/{name}"))["raw_transcript"].split()
        for name in ("torn", "whole")
    ]
    live = edits(*(live_words(journal) for journal in (torn, whole)))
    print(
        f"{len(texts[1])} words; {live} differ live, {edits(*texts)} in the transcripts", flush=True
    )
    wrong = await judge(agent, torn, agent.folder / "data" / "chunks")
    return [*wrong, "transcripts with and without cuts"] if texts[0] != texts[1] else wrong


def live_words(journal: Journal) -> list[str]:
    """Return the committed words as they stood before the meeting was finished."""
    segments: dict[str, tuple[float, str]] = {}
    for message in journal.of_type("transcript.update", "transcript.retract"):
        if message["event"] > journal.live_events:
            break
        if message["event_type"] == "transcript.retract":
            segments.pop(message["segment_id"], None)
        else:
            segments[message["segment_id"]] = (message["start"], message["raw_text"])
    return " ".join(text for _, text in sorted(segments.values())).split()


def show(journal: Journal) -> None:
    """Print what happened on the way."""
    print(
        f"{journal.cuts} cuts, {journal.connections} sessions, "
        f"{len(journal.sent) // PIECE_BYTES} frames, {len(journal.of_type('audio.ack'))} acks, "
        f"{len(journal.of_type('transcript.update'))} updates; "
        f"sound {journal.sound_s:.0f} s, finish {journal.finish_s:.0f} s",
        flush=True,
    )


async def run(disconnects: int, seed: int, *, with_speech: bool) -> int:
    """Run one recording with the default servers and return the exit code."""
    began_s = time.monotonic()
    chance = random.Random(seed)  # noqa: S311 - reproducible on purpose
    hearing = {"WHISPER_LANGUAGE": "en"} if with_speech else {"STT_PROVIDER": "mock"}
    with tempfile.TemporaryDirectory() as folder:
        agents = Agents(Path(folder), {})
        try:
            agent = agents.make(**hearing)
            await agent.start()
            torn = torn_speech if with_speech else torn_noise
            wrong = await torn(agent, disconnects, chance)
            await agent.stop()
        finally:
            await agents.close()
    for account in wrong:
        print(f"does not agree: {account}")
    print(f"{time.monotonic() - began_s:.0f} s")
    return 1 if wrong else 0


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--disconnects", type=int, default=100)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1 << 32))
    parser.add_argument("--speech", action="store_true", help="real speech and the real model")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    return asyncio.run(run(options.disconnects, options.seed, with_speech=options.speech))


if __name__ == "__main__":
    sys.exit(main())
