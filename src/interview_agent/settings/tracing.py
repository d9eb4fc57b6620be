"""Settings of tracing."""

from __future__ import annotations

from pydantic import Field

from interview_agent.settings.group import Group
from interview_agent.settings.kinds import Url


class Tracing(Group):
    """Where spans are sent."""

    heading = "Tracing"

    otel_enabled: bool = Field(
        True, description="Record spans where a collector is set; `false`: none at all."
    )
    otel_exporter_otlp_endpoint: Url | None = Field(
        None,
        description="Address of a collector that takes OTLP over HTTP, such as"
        " `http://collector:4318`; unset: no spans are recorded. Needs the extra `tracing`, which"
        " the image has.",
    )
