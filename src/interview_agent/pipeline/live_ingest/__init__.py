"""Live audio becomes durable: frames are joined into chunks that go through the one accept path."""

from interview_agent.pipeline.live_ingest.door import LiveIngest, LiveRequest
from interview_agent.pipeline.live_ingest.track import (
    FRAME_HEADER_BYTES,
    AudioAck,
    LiveLimits,
    LiveMeters,
    LiveParts,
    LiveTrack,
)

__all__ = [
    "FRAME_HEADER_BYTES",
    "AudioAck",
    "LiveIngest",
    "LiveLimits",
    "LiveMeters",
    "LiveParts",
    "LiveRequest",
    "LiveTrack",
]
