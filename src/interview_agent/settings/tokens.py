"""Settings of bearer tokens."""

from __future__ import annotations

from pydantic import Field, SecretStr

from interview_agent.settings.group import Group
from interview_agent.settings.kinds import Algorithms, Csv, Url


class Tokens(Group):
    """Which bearer tokens are believed, and what their claims mean."""

    heading = "Tokens (`AUTH_MODE=jwt`)"

    oidc_issuer_url: Url | None = Field(
        None,
        description="Who issues the tokens, exactly as their `iss` says; compulsory in prod. The"
        " keys are found by its discovery document.",
    )
    oidc_jwks_url: Url | None = Field(
        None, description="Where the keys of the issuer lie; unset: asked of the issuer."
    )
    oidc_audience: str | None = Field(
        None, description="What the `aud` of a token must name; compulsory in prod."
    )
    oidc_algorithms: Algorithms = Field(
        ("RS256",),
        description="Algorithms of signatures that are taken, comma-separated: `RS…` and `ES…`, or"
        " `HS…` with JWT_SHARED_SECRET.",
    )
    oidc_token_typ: str | None = Field(
        None, description="What the `typ` of a token must say, such as `at+jwt`; unset: anything."
    )
    oidc_discovery_timeout_sec: float = Field(
        5.0, gt=0, le=60, description="Longest time that fetching the keys may take, in seconds."
    )
    jwt_shared_secret: SecretStr | None = Field(
        None, description="Secret of `HS…` tokens, for development; refused in prod."
    )
    jwt_clock_skew_sec: int = Field(
        30, ge=0, le=300, description="Difference of clocks that is forgiven, in seconds."
    )
    jwt_max_lifetime_sec: int = Field(
        86_400, ge=60, description="Longest time that a token may be issued for, in seconds."
    )
    jwt_service_claim_key: str = Field(
        "token_type", description="Claim that makes a token a service's, as a dotted path."
    )
    jwt_service_claim_values: Csv = Field(
        ("service", "client_credentials", "m2m"), description="Its values that do."
    )
    jwt_service_role_claim: str = Field(
        "roles",
        description="Claim with roles, as a dotted path such as `realm_access.roles`.",
    )
    jwt_service_allowed_roles: Csv = Field(
        ("service", "admin"), description="Roles that make a token a service's."
    )
    jwt_service_trusted_clients: Csv = Field(
        (),
        description="Clients (`azp`, else `client_id`) whose tokens may be services'; unset: all.",
    )
    jwt_service_permission_claim: str = Field(
        "scope", description="Claim with the scopes of a service token, as a dotted path."
    )
    jwt_service_required_scopes_admin_read: Csv = Field(
        ("agent.admin.read", "agent.admin"),
        description="Scopes of which a service token needs one to read anything.",
    )
    jwt_service_required_scopes_admin_write: Csv = Field(
        ("agent.admin.write", "agent.admin"),
        description="Scopes of which a service token needs one to change anything.",
    )
    jwt_service_required_scopes_ws_internal: Csv = Field(
        ("agent.ws.internal", "agent.admin"),
        description="Scopes of which a service token needs one to open `/v1/ws/internal`.",
    )
    jwt_service_required_scopes_ingest_internal: Csv = Field(
        ("agent.ingest", "agent.admin"),
        description="Scopes of which a service token needs one to send chunks of any meeting.",
    )
    tenant_claim_key: str = Field(
        "tenant_id",
        description="Claim that names the tenant, as a dotted path; its value is one name of the"
        " form that meetings have.",
    )
