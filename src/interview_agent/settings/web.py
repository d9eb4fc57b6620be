"""Settings of what listens."""

from __future__ import annotations

from pydantic import Field

from interview_agent.settings.group import Group
from interview_agent.settings.kinds import Networks, Origins


class Web(Group):
    """Where the service listens, and from which pages and proxies it takes requests."""

    heading = "Addresses and pages"

    api_host: str = Field("127.0.0.1", description="Address that the API listens on.")
    api_port: int = Field(
        8010, ge=0, le=65535, description="Port of the API; 0 takes a free one, which is logged."
    )
    metrics_port: int = Field(
        8011,
        ge=0,
        le=65535,
        description="Port of `/health`, `/ready` and `/metrics` for whoever watches: of processes"
        " without the api role, in production of all, and wherever it is set; 0 takes a free one,"
        " which is logged.",
    )
    cors_allowed_origins: Origins = Field(
        (),
        description="Origins of pages that may use this service, comma-separated, exact, such as"
        " `https://app.example.com`. Our own origin and loopback always may; `*`: all.",
    )
    cors_allow_credentials: bool = Field(
        True, description="Let those pages send cookies and TLS certificates along; never with `*`."
    )
    trusted_proxies: Networks = Field(
        (),
        description="Addresses or networks of reverse proxies, comma-separated, whose"
        " `X-Forwarded-For` and `X-Forwarded-Proto` are believed.",
    )
