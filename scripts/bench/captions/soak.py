"""One stream for a long time: whether memory stays flat."""

from __future__ import annotations

import asyncio
import statistics
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from captions.recordings import SAMPLE_RATE
from captions.runs import start_meeting
from captions.stream import open_stream

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from captions.process_tree import Usage
    from captions.recordings import Recording
    from captions.service import Service

WARM_UP_S = 120.0
REPORT_PERIOD_S = 60.0


async def soak(
    service: Service, recording: Recording, seconds: float, say: Callable[[str], None]
) -> dict[str, Any]:
    """Speak the recording over and over for so long; return how the memory grew."""
    rounds = int(np.ceil(seconds / recording.seconds))
    samples = np.tile(recording.samples, rounds)[: int(seconds * SAMPLE_RATE)]
    meeting_id = await start_meeting(service, recording.language)
    async with (
        open_stream(service.http, service.address, meeting_id, "main") as stream,
        asyncio.TaskGroup() as tasks,
    ):
        await stream.start(recording.language)
        begin_s = time.monotonic()
        speaking = tasks.create_task(stream.speak(samples, begin_s))
        while not speaking.done():
            await asyncio.wait([speaking], timeout=REPORT_PERIOD_S)
            now = service.usage.samples[-1]
            say(
                f"{(now.at_s - begin_s) / 60:6.1f} min  {now.memory_mb:7.1f} MB  "
                f"{now.cpu_s:8.1f} CPU s  {len(stream.log.captions)} captions"
            )
        errors = list(stream.log.errors)
    spoken = [each for each in service.usage.samples if each.at_s >= begin_s]
    warm = [each for each in spoken if each.at_s >= begin_s + WARM_UP_S] or spoken
    return {
        "soak_min": round(seconds / 60, 2),
        "rss_first_mb": round(warm[0].memory_mb, 1),
        "rss_last_mb": round(warm[-1].memory_mb, 1),
        "rss_peak_mb": round(service.usage.peak_mb(), 1),
        "rss_slope_mb_per_min": round(slope_mb_per_min(warm), 3),
        "errors": errors,
    }


def slope_mb_per_min(samples: Sequence[Usage]) -> float:
    """Return the slope of the line through the memory of the samples."""
    minutes = [each.at_s / 60 for each in samples]
    return statistics.linear_regression(minutes, [each.memory_mb for each in samples]).slope
