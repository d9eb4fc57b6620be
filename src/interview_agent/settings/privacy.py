"""Settings of masking and of retention."""

from __future__ import annotations

from pydantic import Field

from interview_agent.settings.group import Group


class Privacy(Group):
    """What is masked, and how long things are kept."""

    heading = "Privacy and time"

    pii_masking: bool = Field(
        True, description="Mask personal data in every text that a user identity gets."
    )
    retention_days_audio: int = Field(14, ge=1, description="Days after which audio is deleted.")
    retention_days_text: int = Field(90, ge=1, description="Days after which texts are deleted.")
    retention_days_audit: int = Field(
        365, ge=1, description="Days after which rows of the audit trail are deleted."
    )
    meeting_quiet_sec: float = Field(
        8.0, gt=0, description="Seconds without a chunk after which a transcript is closed."
    )
