"""Settings that bound what callers ask for."""

from __future__ import annotations

from pydantic import Field

from interview_agent.settings.group import Group


class Limits(Group):
    """How much callers may ask for."""

    heading = "Limits"

    ws_max_sockets: int = Field(
        1000, ge=1, description="Most WebSockets that are open at once; past it the answer is 503."
    )
    max_held_per_caller: int = Field(
        600,
        ge=1,
        description="Most WebSockets and event streams that one identity, or one address, holds"
        " open at once; past it the answer is 429.",
    )
    max_connections_per_address: int = Field(
        1000,
        ge=1,
        description="Most connections of one address, trusted proxies aside; past it each is"
        " answered 429 and closed.",
    )
    rate_limit_per_caller: float = Field(
        1000.0,
        gt=0,
        description="Requests a second that one identity, or one address, may make in the long run;"
        " twice as many in a burst. Past it the answer is 429.",
    )
    meetings_max_per_hour: int = Field(
        2_000,
        ge=1,
        description="Meetings that one tenant, or one caller without a tenant, may open in an hour;"
        " past it the answer is 429.",
    )
    bad_credentials_per_minute: float = Field(
        100.0,
        gt=0,
        description="Wrong keys and tokens that one address may show a minute; past it every"
        " credential from there is answered 429.",
    )
    feed_max_listeners: int = Field(
        2_000, ge=1, description="Most listeners that this process keeps up to date at once."
    )
    body_timeout_sec: float = Field(
        30.0, gt=0, description="Longest silence while a request body arrives, in seconds."
    )
    chunk_max_bytes: int = Field(
        16 * 2**20, ge=1024, description="Largest chunk, decoded from base64, in bytes."
    )
    recording_max_bytes: int = Field(2 * 2**30, ge=1024, description="Largest recording, in bytes.")
    ingest_max_inflight_bytes: int = Field(
        256 * 2**20,
        ge=2**20,
        description="Bytes of request bodies in memory at once; past it the answer is 503.",
    )
    backlog_max_chunks: int = Field(
        50_000,
        ge=1,
        description="Chunks of one tenant that may wait to be heard, live tracks aside; past it"
        " new audio is answered 429.",
    )
