"""Settings of access."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from interview_agent.settings.group import Group
from interview_agent.settings.kinds import Secrets


class Access(Group):
    """Who may do what, keys and tenants."""

    heading = "Access"

    auth_mode: Literal["none", "api_key", "jwt"] = Field(
        "api_key",
        description="`api_key`: `X-API-Key` is required; `jwt`: a bearer token is; `none`: outside"
        " prod only.",
    )
    auth_require_jwt_in_prod: bool = Field(
        True,
        description="In production, take every `AUTH_MODE` but `jwt` for an error"
        " (`auth_mode_must_be_jwt_in_prod`).",
    )
    api_keys: Secrets = Field(
        (),
        description="Keys of users, comma-separated: `[tenant:]key` or `[tenant:]sha256$<hex>`."
        " Empty outside prod: a random key is made and kept in `DATA_DIR/api_key`.",
    )
    service_api_keys: Secrets = Field(
        (), description="Keys of services, in the same form; they see every meeting, unmasked."
    )
    allow_service_api_key_in_jwt_mode: bool = Field(
        True,
        description="With `AUTH_MODE=jwt`: take service keys too, where no token is given; never in"
        " prod.",
    )
    tenant_enforcement_enabled: bool = Field(
        False, description="Refuse users whose token or key names no tenant."
    )
    tenant_context_key: str = Field(
        "tenant_id", description="Name of the tenant in the context of a meeting."
    )
    security_audit_db_enabled: bool = Field(
        True,
        description="Keep a row of each refusal and each admin or service action; `false`: the log"
        " alone.",
    )
