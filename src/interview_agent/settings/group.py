"""What all groups of settings have in common."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict


class Group(BaseModel):
    """Settings of one subject, under one heading of the generated pages."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    heading: ClassVar[str]
