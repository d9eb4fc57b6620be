"""Settings of delivery."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr

from interview_agent.settings.group import Group


class Delivery(Group):
    """How reports reach people."""

    heading = "Delivery"

    delivery_provider: Literal["email"] = Field("email", description="How reports are delivered.")
    smtp_host: str | None = Field(
        None, description="Mail server; unset: delivery is recorded as skipped."
    )
    smtp_port: int = Field(587, ge=1, le=65535, description="Port of the mail server.")
    smtp_user: str | None = Field(None, description="User at the mail server.")
    smtp_pass: SecretStr | None = Field(None, description="Password at the mail server.")
    smtp_security: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="`none` sends in clear and is refused together with SMTP_USER."
    )
    email_from: str = Field("interview-agent@localhost", description="Sender of the reports.")
