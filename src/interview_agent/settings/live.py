"""Settings of live audio."""

from __future__ import annotations

from pydantic import Field

from interview_agent.settings.group import Group


class Live(Group):
    """How much live audio is held, and in what pieces."""

    heading = "Live audio"

    live_max_tracks: int = Field(
        64, ge=1, le=1024, description="Live tracks that a worker holds at once."
    )
    live_max_streams: int = Field(
        0,
        ge=0,
        le=10_000,
        description="Live streams that a worker says it can caption; 0: as many as it measures."
        " Past the sum of all workers new sessions are turned away.",
    )
    live_chunk_ms: int = Field(
        250,
        ge=20,
        le=5_000,
        description="Live audio is made durable in chunks of this length, in ms.",
    )
    live_max_frame_bytes: int = Field(
        2**20, ge=1024, le=16 * 2**20, description="Largest frame of live audio, header included."
    )
    live_max_in_flight: int = Field(
        256, ge=1, description="Frames of one live session that may wait for their ack."
    )
    live_max_unacked_bytes: int = Field(
        2**20, ge=1024, description="Bytes of one live session that may wait for their ack."
    )
    live_max_held_bytes: int = Field(
        256 * 2**20,
        ge=2**20,
        description="Bytes of all live sessions of a process that may wait for their acks; past it"
        " each of them has room for one frame.",
    )
