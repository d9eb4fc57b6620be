"""Live audio becomes durable: frames are joined into chunks that go through the one accept path."""

from interview_agent.pipeline.live_ingest.door import LiveIngest, LiveRequest
from interview_agent.pipeline.live_ingest.held_audio import HeldAudio
from interview_agent.pipeline.live_ingest.track import (
    AudioAck,
    LiveLimits,
    LiveMeters,
    LiveParts,
    LiveTrack,
)

__all__ = [
    "AudioAck",
    "HeldAudio",
    "LiveIngest",
    "LiveLimits",
    "LiveMeters",
    "LiveParts",
    "LiveRequest",
    "LiveTrack",
]
