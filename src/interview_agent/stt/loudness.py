"""The loudest moment of a track, which the library knows before it hears the first window.

Whisper's features are cut off at 80 dB below the loudest moment of the whole recording. Little
seems to hang on it, but a recogniser that is given another floor writes other words: in noisy
Russian every third one. So the loudest moment is sought ahead of the windows as far as possible.
"""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from interview_agent.ports.speech import CONTEXT_FRAMES, WINDOW_FRAMES

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from interview_agent.ports.speech import SpeechModel
    from interview_agent.stt.open_track import OpenTrack
    from interview_agent.stt.timeline import Timeline
    from interview_agent.stt.track_audio import Block

SAME = 1e-3
"""Loudest moments no further apart, in log10 units, are one: the features differ by 0.00025."""


async def loudest_after(
    model: SpeechModel, timeline: Timeline, frames: int, loudest: float | None
) -> float | None:
    """Return the loudest moment of the certain speech from frame `frames` on, or `loudest`."""
    for window in timeline.windows_after(frames):
        value = await model.loudest(window)
        loudest = value if loudest is None else max(loudest, value)
    return loudest


async def loudest_of_all(
    model: SpeechModel, track: OpenTrack
) -> AsyncGenerator[tuple[Block | None, float | None]]:
    """Play a fresh track to its end, yielding each block and the loudest moment so far.

    Nothing is kept, so that this takes no more memory for hours than for a minute. The last item,
    without a block, tells of the whole track.
    """
    timeline, measured = track.timeline, 0
    loudest: float | None = None
    async with aclosing(track.all_blocks()) as blocks:
        async for block in blocks:
            await timeline.hear(block.samples, block.seq)
            if timeline.speech_frames - measured > 2 * WINDOW_FRAMES:
                loudest = await loudest_after(model, timeline, measured, loudest)
                measured = timeline.speech_frames - CONTEXT_FRAMES
                timeline.forget_before(measured)
            yield block, loudest
    await timeline.end()
    yield None, await loudest_after(model, timeline, measured, loudest)
