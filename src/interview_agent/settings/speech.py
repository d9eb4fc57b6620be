"""Settings of decoding and transcription."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from interview_agent.settings.group import Group


class Speech(Group):
    """How audio is decoded and transcribed."""

    heading = "Speech"

    stt_provider: Literal["whisper_local", "mock"] = Field(
        "whisper_local", description="`mock` returns a fixed text for a chunk, for integration."
    )
    whisper_model_size: str = Field(
        "base", description="Name of a faster-whisper model, or a folder that holds one."
    )
    whisper_device: str = Field("cpu", description="`cpu`, `cuda` or `auto`.")
    whisper_compute_type: str = Field(
        "int8", description="CTranslate2 compute type, such as `int8`, `float16`, `float32`."
    )
    whisper_language: str = Field(
        "ru", description="Language of meetings that do not name one; `auto` detects it."
    )
    whisper_beam_size: int = Field(1, ge=1, le=10, description="Beams of the decoder; 1 = greedy.")
    whisper_vad_filter: bool = Field(
        True, description="Transcribe only what the voice activity detector takes for speech."
    )
    whisper_threads: int = Field(
        2, ge=1, le=64, description="Transcriptions that run at once, one thread each."
    )
    decode_max_sec: float = Field(
        21_600.0, gt=0, description="Longest audio that one stream may decode to, in seconds."
    )
    decode_max_children: int = Field(
        64,
        ge=2,
        le=1024,
        description="Streams that are decoded at once, a process each; others wait.",
    )
