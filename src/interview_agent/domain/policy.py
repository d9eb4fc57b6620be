"""Who may do what: one need for each route and socket event, one judge for all of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from interview_agent.domain.errors import Forbidden
from interview_agent.domain.identity import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from interview_agent.domain.identity import Identity


class Need(StrEnum):
    """What a route or a socket event asks of its caller.

    A service key passes every need of services and of meetings; a service token needs one of the
    scopes that the deployment names for the need. `MEETING_READ` and `MEETING_WRITE` are open to
    users for their own meetings, and to service tokens with the scope of admin reads or writes.
    """

    OPEN = "open"
    MEETING_READ = "meeting_read"
    MEETING_WRITE = "meeting_write"
    SOCKET_USER = "socket_user"
    SOCKET_INTERNAL = "socket_internal"
    INGEST_INTERNAL = "ingest_internal"
    ADMIN_READ = "admin_read"
    ADMIN_WRITE = "admin_write"
    METRICS = "metrics"


@dataclass(frozen=True, slots=True)
class ScopeRules:
    """The scopes of which a service token needs any one, by need; an empty list asks for none."""

    admin_read: tuple[str, ...] = ()
    admin_write: tuple[str, ...] = ()
    socket_internal: tuple[str, ...] = ()
    ingest_internal: tuple[str, ...] = ()

    def wanted(self, need: Need) -> tuple[str, ...]:
        """Return the scopes that satisfy a need."""
        match need:
            case Need.ADMIN_READ | Need.MEETING_READ | Need.METRICS:
                return self.admin_read
            case Need.ADMIN_WRITE | Need.MEETING_WRITE:
                return self.admin_write
            case Need.SOCKET_INTERNAL:
                return self.socket_internal
            case Need.INGEST_INTERNAL:
                return self.ingest_internal
            case Need.OPEN | Need.SOCKET_USER:
                return ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a caller may pass, and the stable reason that the audit trail keeps."""

    allowed: bool
    reason: str


_FOR_SERVICES = {
    Need.SOCKET_INTERNAL: "ws_service_auth_ok",
    Need.INGEST_INTERNAL: "service_auth_ingest",
    Need.ADMIN_READ: "service_auth_read",
    Need.ADMIN_WRITE: "service_auth_write",
    Need.METRICS: "service_auth_read",
}


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of one deployment.

    With `tenant_required`, users must have a tenant, and it stands in the context of what they
    start under `tenant_context_key`.
    """

    scopes: ScopeRules = field(default_factory=ScopeRules)
    tenant_required: bool = False
    tenant_context_key: str = "tenant_id"

    def judge(self, caller: Identity, need: Need) -> Verdict:
        """Say whether `caller`, who was authenticated, may do what `need` stands for."""
        if caller.kind is Kind.USER:
            return self._judge_user(caller, need)
        if need is Need.SOCKET_USER:
            return Verdict(allowed=False, reason="service_identity_not_allowed")
        if not caller.has_any_scope(self.scopes.wanted(need)):
            return Verdict(allowed=False, reason="missing_service_scope")
        reason = _FOR_SERVICES.get(need, "auth_ok")
        kind = "service_jwt_claims" if caller.auth_type == "jwt" else "service_api_key"
        return Verdict(allowed=True, reason=f"{reason}:{kind}" if need in _FOR_SERVICES else reason)

    def _judge_user(self, caller: Identity, need: Need) -> Verdict:
        if need in _FOR_SERVICES:
            return Verdict(allowed=False, reason="not_service_identity")
        if self.tenant_required and caller.tenant is None and need is not Need.OPEN:
            return Verdict(allowed=False, reason="missing_tenant")
        reason = "ws_user_auth_ok" if need is Need.SOCKET_USER else "auth_ok"
        return Verdict(allowed=True, reason=reason)

    def context_of(self, caller: Identity, context: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the context of a meeting that `caller` starts.

        Raises `Forbidden` for one that names the tenant of somebody else.
        """
        if not self.tenant_required or caller.tenant is None:
            return context
        if context.get(self.tenant_context_key, caller.tenant) != caller.tenant:
            message = "the context names another tenant"
            raise Forbidden(message, refusal="tenant_mismatch")
        return {**context, self.tenant_context_key: caller.tenant}
