"""Meters of speech recognition, of recordings and live."""

from __future__ import annotations

from interview_agent.metrics.meter import counter, gauge, histogram

LIVE_STREAMS = gauge("agent_live_streams", (), "Tracks that this process captions now.")
LIVE_CAPACITY = gauge(
    "agent_live_capacity_streams", (), "Tracks that this process can caption, by its own measure."
)
LIVE_DELAY = histogram(
    "agent_live_text_delay_ms",
    ("service",),
    "Time from the arrival of a sound to the words of it that stand, ms.",
)
AUDIO_HEARD = counter("agent_audio_heard_seconds_total", (), "Audio of recordings transcribed, s.")
SPEECH_BUSY = counter(
    "agent_speech_thread_seconds_total",
    ("kind",),
    "Time that the recogniser's threads worked, s: live or recording. For recordings, divided by"
    " the audio transcribed, it is the real-time factor.",
)
MODEL_OK = gauge(
    "agent_speech_model_ok",
    (),
    "1 while the files of the speech model are those that the next start needs, or none is needed.",
)
MODEL_LOAD = gauge(
    "agent_speech_model_load_seconds", (), "Time that loading the speech model took, s."
)
