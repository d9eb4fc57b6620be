"""Memory of the recogniser while it hears windows of ever new lengths."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """
import asyncio, json, sys
from pathlib import Path
import numpy as np
from interview_agent.adapters.whisper.model import WhisperSpeechModel
from interview_agent.ports.audio import SAMPLE_RATE
from interview_agent.ports.captions import CaptionWindow

def own_mb():
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        if line.startswith("Anonymous:"):
            return int(line.split()[1]) / 1024

async def main():
    model = await WhisperSpeechModel.load(size="base", data_dir=Path(sys.argv[1]), threads=1)
    noise = np.random.default_rng(7).normal(0, 0.01, 6 * SAMPLE_RATE).astype(np.float32)
    grown = []
    for length in [noise.size, *range(SAMPLE_RATE, 5 * SAMPLE_RATE, SAMPLE_RATE // 10)]:
        window = CaptionWindow(noise[:length], "en", (), (), final=True, detect=False)
        await model.captions.caption(window)
        grown.append(own_mb())
    await model.aclose()
    print(json.dumps(grown))

asyncio.run(main())
"""


async def test_every_new_length_of_sound_leaves_nothing_behind(tmp_path: Path) -> None:
    """A stream of an hour has windows of a thousand lengths."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PROGRAM, str(tmp_path)), stdout=asyncio.subprocess.PIPE
    )
    printed, _ = await process.communicate()
    assert process.returncode == 0
    grown_mb = json.loads(printed)
    assert len(grown_mb) == 41
    # A kernel kept for each of thirty lengths would be some 40 MB.
    assert grown_mb[-1] - grown_mb[10] < 15
