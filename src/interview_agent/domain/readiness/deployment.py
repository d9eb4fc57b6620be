"""The facts about a deployment that can be judged without asking anybody."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

AuthMode = Literal["none", "api_key", "jwt"]
Connector = Literal["none", "sberjazz", "sberjazz_mock"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """What was set, without secrets: of those it is only known whether they are there.

    The defaults are those of a deployment with nothing set.
    """

    prod: bool = False
    has_postgres_dsn: bool = False
    has_redis_url: bool = False
    has_well_known_password: bool = False

    auth_mode: AuthMode = "api_key"
    require_jwt_in_prod: bool = True
    user_keys: int = 0
    user_keys_without_tenant: int = 0
    service_keys: int = 0
    service_keys_with_jwt: bool = True
    issuer_url: str = ""
    jwks_url: str = ""
    audience: str = ""
    algorithms: tuple[str, ...] = ("RS256",)
    has_shared_secret: bool = False
    tenants_enforced: bool = False
    tenant_claim: str = "tenant_id"

    storage_mode: Literal["local_fs", "shared_fs"] = "local_fs"
    require_shared_in_prod: bool = True
    has_audio_dir: bool = False
    cors_origins: tuple[str, ...] = ()
    stt_provider: str = "whisper_local"

    connector: Connector = "sberjazz_mock"
    connector_base: str = ""
    connector_needs_https: bool = True
    has_connector_token: bool = False
    connector_call_s: float = 10.0
    connector_operation_s: float = 48.0
