"""The gate: who gets in, and what it leaves in the audit trail."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from aiohttp.test_utils import make_mocked_request

from audit_twin import NotedAudit
from interview_agent.domain.errors import (
    AgentError,
    ConsentDenied,
    DatabaseError,
    Forbidden,
    InvalidToken,
    NotFound,
    RateLimited,
    Unauthorized,
)
from interview_agent.domain.policy import Need, Policy
from interview_agent.web.auth import ApiKeys
from interview_agent.web.gate import Gate
from interview_agent.web.proxies import Proxies
from interview_agent.web.rates import RateLimits, Rates


@dataclass
class Door:
    """A gate with keys of a user and of a service, and what it tells."""

    audit: NotedAudit = field(default_factory=NotedAudit)
    rates: RateLimits = RateLimits(bad_credentials_per_minute=3)  # noqa: RUF009 - frozen

    def __post_init__(self) -> None:
        keys = ApiKeys(["user"], ["machine"])
        rates = Rates(self.rates)
        self.gate = Gate(keys, Policy(), self.audit, rates=rates, proxies=Proxies())

    async def ask(
        self,
        key: str | None,
        need: Need,
        *,
        path: str = "/v1/x",
        status: int = 200,
        error: AgentError | None = None,
    ) -> None:
        """Ask with a key; the answer has `status`, or `error` is what comes of it."""
        headers = {"X-API-Key": key} if key is not None else {}
        request = make_mocked_request("GET", path, headers=headers)
        visit = self.gate.visit(request)
        with self.gate.watch(request, visit):
            await self.gate.admit(request, visit, need)
            if error is not None:
                raise error
        self.gate.answered(request, status)


async def test_an_admin_write_hands_its_event_over_once_to_be_recorded_before_it_is_done() -> None:
    door = Door()
    request = make_mocked_request("POST", "/v1/x", headers={"X-API-Key": "machine"})
    await door.gate.admit(request, door.gate.visit(request), Need.ADMIN_WRITE)
    event = door.gate.hand_over(request)
    assert (event.outcome, event.reason) == ("allow", "service_auth_write:service_api_key")
    door.gate.check_handed_over(request)
    door.gate.answered(request, 200)
    assert door.audit.noted == []
    with pytest.raises(KeyError):
        door.gate.hand_over(request)


async def test_an_admin_write_that_hands_nothing_over_is_a_fault() -> None:
    door = Door()
    request = make_mocked_request("POST", "/v1/x", headers={"X-API-Key": "machine"})
    await door.gate.admit(request, door.gate.visit(request), Need.ADMIN_WRITE)
    with pytest.raises(RuntimeError, match="without a record"):
        door.gate.check_handed_over(request)


async def test_the_trail_has_the_fault_of_a_token_that_its_bearer_is_not_told() -> None:
    door = Door()
    with pytest.raises(InvalidToken) as refused:
        await door.ask("user", Need.MEETING_READ, error=InvalidToken("unknown_key"))
    assert [event.reason for event in door.audit.denied] == ["unknown_key"]
    assert "unknown_key" not in refused.value.message


async def test_reads_and_refusals_go_on_whatever_the_trail_can_hold() -> None:
    door = Door()
    door.audit.fault = DatabaseError()
    await door.ask("machine", Need.ADMIN_READ)
    with pytest.raises(Forbidden):
        await door.ask("user", Need.ADMIN_WRITE)
    assert [event.outcome for event in door.audit.noted] == ["allow", "deny"]


@pytest.mark.parametrize(
    ("key", "need", "status", "noted", "tallied"),
    [
        ("machine", Need.ADMIN_READ, 200, 1, 0),
        ("machine", Need.ADMIN_READ, 503, 1, 0),
        ("machine", Need.ADMIN_WRITE, 404, 1, 0),
        ("machine", Need.MEETING_READ, 404, 1, 0),
        ("machine", Need.MEETING_WRITE, 200, 1, 0),
        ("machine", Need.INGEST_INTERNAL, 200, 0, 1),
        ("machine", Need.INGEST_INTERNAL, 422, 1, 0),
        ("machine", Need.METRICS, 200, 0, 0),
        ("user", Need.MEETING_READ, 200, 0, 0),
        ("user", Need.MEETING_WRITE, 202, 0, 1),
        ("user", Need.MEETING_WRITE, 422, 0, 0),
    ],
)
async def test_services_leave_an_event_each_and_users_what_they_changed(
    key: str, need: Need, status: int, noted: int, tallied: int
) -> None:
    door = Door()
    await door.ask(key, need, status=status)
    assert (len(door.audit.noted), len(door.audit.tallied)) == (noted, tallied)
    assert all(
        event.status_code == status and event.outcome == "allow"
        for event in (*door.audit.noted, *door.audit.tallied)
    )


@pytest.mark.parametrize(
    ("key", "need", "error", "expected"),
    [
        (None, Need.MEETING_READ, None, ("unknown", "exactly one X-API-Key header is needed", 401)),
        ("eve", Need.MEETING_READ, None, ("unknown", "the API key is not known", 401)),
        ("user", Need.ADMIN_READ, None, ("key:", "not_service_identity", 403)),
        ("machine", Need.SOCKET_USER, None, ("key:", "service_identity_not_allowed", 403)),
        ("machine", Need.MEETING_WRITE, ConsentDenied(), ("key:", "consent_denied", 403)),
        ("machine", Need.INGEST_INTERNAL, RateLimited(), ("key:", "rate_limited", 429)),
    ],
)
async def test_a_refusal_leaves_one_event_and_that_alone(
    key: str | None, need: Need, error: AgentError | None, expected: tuple[str, str, int]
) -> None:
    door = Door()
    with pytest.raises(AgentError) as refused:
        await door.ask(key, need, error=error)
    (event,) = door.audit.noted
    assert (event.subject[: len(expected[0])], event.reason, event.status_code) == expected
    assert (event.outcome, event.error_code) == ("deny", refused.value.code)
    assert (door.audit.tallied, door.audit.recorded) == ([], [])


async def test_what_is_no_refusal_is_none_in_the_trail() -> None:
    door = Door()
    with pytest.raises(NotFound):
        await door.ask("user", Need.MEETING_READ, error=NotFound())
    assert door.audit.noted == []


async def test_the_path_is_kept_as_asked_for_and_the_query_is_not() -> None:
    door = Door()
    path = "/v1/" + "a" * 8000 + "%00%0D%0A"
    with pytest.raises(Unauthorized):
        await door.ask("open-sesame", Need.ADMIN_READ, path=f"{path}?token=sesame")
    (event,) = door.audit.noted
    assert event.endpoint == path
    assert "sesame" not in repr(event)


async def test_only_credentials_that_are_shown_count_as_guesses() -> None:
    door = Door()
    for _ in range(10):
        with pytest.raises(Unauthorized):
            await door.ask(None, Need.MEETING_READ)
    await door.ask("user", Need.MEETING_READ)
    for _ in range(3):
        with pytest.raises(Unauthorized):
            await door.ask("eve", Need.MEETING_READ)
    for key in ("eve", "user"):
        with pytest.raises(RateLimited):
            await door.ask(key, Need.MEETING_READ)
    with pytest.raises(Unauthorized):
        await door.ask(None, Need.MEETING_READ)
