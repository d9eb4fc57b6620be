"""The one gate: who calls, may they, and the trace that this leaves."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from aiohttp import web

from interview_agent.domain.errors import AgentError, Forbidden, TokenUnchecked, Unauthorized
from interview_agent.domain.policy import Need
from interview_agent.ports.audit import AuditEvent
from interview_agent.web.auth import KEY_HEADER
from interview_agent.web.bearer import HEADER as BEARER_HEADER
from interview_agent.web.errors import STATUS_BY_CODE
from interview_agent.web.proxies import neighbourhood

if TYPE_CHECKING:
    from collections.abc import Iterator

    from interview_agent.domain.identity import Identity
    from interview_agent.domain.policy import Policy
    from interview_agent.ports.audit import AuditLog
    from interview_agent.web.auth import Authenticator
    from interview_agent.web.proxies import Proxies
    from interview_agent.web.rates import Rates

CREDENTIAL_HEADERS = (BEARER_HEADER, KEY_HEADER)
_WRITES = frozenset({Need.MEETING_WRITE, Need.INGEST_INTERNAL})
_HINTS = {
    "service_identity_not_allowed": "use /v1/ws/internal",
    "not_service_identity": "service identity required",
    "missing_service_scope": "the token has none of the scopes that this needs",
    "missing_tenant": "this identity belongs to no tenant",
}


@dataclass(slots=True)
class Visit:
    """One request or socket as the audit trail names it; `caller` is set once that is known."""

    endpoint: str
    method: str
    address: str
    meeting_id: str | None = None
    caller: Identity | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """What is recorded once the answer to an allowed request begins."""

    event: AuditEvent
    caller: Identity
    need: Need


GRANT = web.RequestKey("GRANT", Grant)


class Gate:
    """Identifies, judges, records, and raises for whoever may not pass."""

    def __init__(
        self,
        authenticator: Authenticator,
        policy: Policy,
        audit: AuditLog,
        *,
        rates: Rates,
        proxies: Proxies,
    ) -> None:
        self.authenticator = authenticator
        self._policy = policy
        self._audit = audit
        self._rates = rates
        self._proxies = proxies

    def visit(self, request: web.BaseRequest, *, method: str | None = None) -> Visit:
        """Return how the audit trail names a request."""
        names = request.match_info if isinstance(request, web.Request) else {}
        return Visit(
            # Without the query: people put credentials there.
            endpoint=request.rel_url.raw_path,
            method=method or request.method,
            address=self._proxies.client_of(request),
            meeting_id=names.get("meeting_id"),
        )

    @contextmanager
    def watch(self, request: web.Request, visit: Visit) -> Iterator[None]:
        """Record the refusal that ends the block, if one does: that alone, and once."""
        try:
            yield
        except AgentError as error:
            if error.refusal is not None:
                request.pop(GRANT, None)
                self.refused(visit, error)
            raise

    def came_by_tls(self, request: web.BaseRequest) -> bool:
        """Whether the client spoke TLS."""
        return self._proxies.came_by_tls(request)

    def knock(self, request: web.Request) -> None:
        """Count a request before anything of it is looked at. Raises `RateLimited`."""
        visit = self.visit(request)
        with self.watch(request, visit):
            self._rates.asked_from(neighbourhood(visit.address))

    async def admit(
        self,
        request: web.Request,
        visit: Visit,
        need: Need,
        shown: web.BaseRequest | None = None,
        *,
        status: int = 200,
    ) -> Identity:
        """Return the caller of a request who may do what it needs.

        `shown` is the request with the credential in a header, where that came otherwise. `status`
        is that of success, for what is recorded before it is done. Raises `Unauthorized`,
        `Forbidden`, `RateLimited`.
        """
        caller = visit.caller = await self._identify(shown or request, visit)
        self._rates.asked_by(_identity_key(caller))
        reason = self.judge(caller, need)
        event = self._event(visit, "allow", reason, status=status)
        if (caller.is_service and need is not Need.METRICS) or need in _WRITES:
            request[GRANT] = Grant(event, caller, need)
        return caller

    @staticmethod
    def hand_over(request: web.Request) -> AuditEvent:
        """Give away the event of an admin write, to be recorded before anything is done."""
        grant: Grant = request.pop(GRANT)
        return grant.event

    @staticmethod
    def check_handed_over(request: web.Request) -> None:
        """Raise `RuntimeError` for an admin write that was done without being recorded."""
        grant = request.get(GRANT)
        if grant is not None and grant.need is Need.ADMIN_WRITE:
            message = "an admin write was done without a record"
            raise RuntimeError(message)

    async def _identify(self, shown: web.BaseRequest, visit: Visit) -> Identity:
        address = neighbourhood(visit.address)
        guess = any(name in shown.headers for name in CREDENTIAL_HEADERS)
        if guess:
            self._rates.check_guesses(address)
        try:
            return await self.authenticator.identify(shown)
        except Unauthorized as error:
            # A good token, too, cannot be checked while its provider is away.
            if guess and not isinstance(error, TokenUnchecked):
                self._rates.guessed(address)
            raise

    def judge(self, caller: Identity, need: Need) -> str:
        """Return the reason why a caller may do what is needed. Raises `Forbidden`."""
        verdict = self._policy.judge(caller, need)
        if not verdict.allowed:
            raise Forbidden(_HINTS.get(verdict.reason), refusal=verdict.reason)
        return verdict.reason

    @contextmanager
    def holding(self, visit: Visit) -> Iterator[None]:
        """Hold a place for one socket or event stream of a caller. Raises `RateLimited`."""
        if visit.caller is None:
            raise Unauthorized
        with self._rates.holding(_identity_key(visit.caller), neighbourhood(visit.address)):
            yield

    def answered(self, request: web.Request, status: int) -> None:
        """Record what a request was granted, now that its answer begins."""
        grant = request.pop(GRANT, None)
        if grant is None:
            return
        event = replace(grant.event, status_code=status)
        succeeded = status < web.HTTPBadRequest.status_code
        if grant.caller.is_service and not (grant.need is Need.INGEST_INTERNAL and succeeded):
            self._audit.note(event)
        elif succeeded:
            self._audit.tally(event)

    def acted(self, visit: Visit, reason: str, meeting_id: str, *, often: bool) -> None:
        """Record what a caller did on a socket; what is done `often` is counted."""
        event = self._event(visit, "allow", reason, status=200, meeting_id=meeting_id)
        if often:
            self._audit.tally(event)
        else:
            self._audit.note(event)

    def refused(self, visit: Visit, error: AgentError, meeting_id: str | None = None) -> None:
        """Record an error if it turned somebody away."""
        if error.refusal is None:
            return
        status = STATUS_BY_CODE[error.code]
        # Who is not known at all is told all that there is to know.
        unknown = error.refusal == Unauthorized.refusal
        reason = error.message if unknown else error.refusal
        self._audit.note(
            self._event(
                visit, "deny", reason, status=status, error_code=error.code, meeting_id=meeting_id
            )
        )

    @staticmethod
    def _event(
        visit: Visit,
        outcome: Literal["allow", "deny"],
        reason: str,
        *,
        status: int,
        error_code: str | None = None,
        meeting_id: str | None = None,
    ) -> AuditEvent:
        caller = visit.caller
        return AuditEvent(
            outcome=outcome,
            endpoint=visit.endpoint,
            method=visit.method,
            subject=caller.subject if caller else "unknown",
            auth_type=caller.auth_type if caller else "unknown",
            reason=reason,
            status_code=status,
            error_code=error_code,
            client_ip=visit.address,
            meeting_id=meeting_id or visit.meeting_id,
        )


def _identity_key(caller: Identity) -> str:
    return f"{caller.owner} {caller.subject}"
