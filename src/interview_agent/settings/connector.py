"""Settings of the connector."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr

from interview_agent.settings.group import Group


class Connector(Group):
    """Where bots join meetings."""

    heading = "Connector"

    meeting_connector_provider: Literal["none", "sberjazz", "sberjazz_mock"] = Field(
        "none",
        description="Where bots join meetings. This release joins none: the others are only checked"
        " by readiness.",
    )
    sberjazz_api_base: str | None = Field(
        None, description="Address of the SberJazz gateway; only checked by readiness as yet."
    )
    sberjazz_api_token: SecretStr | None = Field(
        None, description="Token for the SberJazz gateway; not used yet."
    )
