"""The judge of all needs."""

from __future__ import annotations

import pytest

from interview_agent.domain.errors import Forbidden
from interview_agent.domain.identity import Identity, Kind
from interview_agent.domain.policy import Need, Policy, ScopeRules

RULES = ScopeRules(("read", "all"), ("write", "all"), ("ws", "all"), ("in", "all"))
FOR_USERS = {Need.OPEN, Need.MEETING_READ, Need.MEETING_WRITE, Need.SOCKET_USER}
FOR_SCOPES = {
    "read": {Need.MEETING_READ, Need.ADMIN_READ, Need.METRICS},
    "write": {Need.MEETING_WRITE, Need.ADMIN_WRITE},
    "ws": {Need.SOCKET_INTERNAL},
    "in": {Need.INGEST_INTERNAL},
    "all": set(Need) - {Need.OPEN, Need.SOCKET_USER},
}


def user(tenant: str | None = None) -> Identity:
    return Identity("u", "jwt", Kind.USER, tenant=tenant)


def service(*scopes: str) -> Identity:
    return Identity("s", "jwt", Kind.SERVICE, scopes=frozenset(scopes))


def allowed(policy: Policy, caller: Identity) -> set[Need]:
    return {need for need in Need if policy.judge(caller, need).allowed}


def test_users_have_their_meetings_and_nothing_of_services() -> None:
    assert allowed(Policy(RULES), user()) == FOR_USERS


@pytest.mark.parametrize("scope", FOR_SCOPES)
def test_a_scope_opens_what_it_is_for_and_nothing_else(scope: str) -> None:
    assert allowed(Policy(RULES), service(scope)) == FOR_SCOPES[scope] | {Need.OPEN}


@pytest.mark.parametrize("near", ["reader", "rea", "READ", " read", "read write", "admin.read"])
def test_only_the_very_word_of_a_scope_counts(near: str) -> None:
    assert allowed(Policy(RULES), service(near)) == {Need.OPEN}


def test_a_service_key_needs_no_scope_and_still_is_no_user() -> None:
    key = Identity("s", "service_api_key", Kind.SERVICE)
    assert allowed(Policy(RULES), key) == set(Need) - {Need.SOCKET_USER}


def test_an_empty_list_of_scopes_asks_for_none() -> None:
    assert allowed(Policy(ScopeRules()), service()) == set(Need) - {Need.SOCKET_USER}


def test_where_tenants_are_compulsory_users_need_one_and_services_do_not() -> None:
    policy = Policy(RULES, tenant_required=True)
    assert allowed(policy, user()) == {Need.OPEN}
    assert allowed(policy, user("a")) == FOR_USERS
    assert policy.judge(user(), Need.MEETING_READ).reason == "missing_tenant"
    assert policy.judge(service("read"), Need.MEETING_READ).allowed


def test_the_tenant_stands_in_the_context_where_it_is_compulsory() -> None:
    policy = Policy(tenant_required=True, tenant_context_key="org")
    assert policy.context_of(user("a"), {"plan": []}) == {"plan": [], "org": "a"}
    assert policy.context_of(user("a"), {"org": "a"}) == {"org": "a"}
    for other in ("b", "", None, ["a"], {"a": 1}):
        with pytest.raises(Forbidden) as refused:
            policy.context_of(user("a"), {"org": other})
        assert refused.value.refusal == "tenant_mismatch"
    assert policy.context_of(service(), {"org": "b"}) == {"org": "b"}


def test_where_it_is_not_the_context_is_nobodys_business() -> None:
    assert Policy().context_of(user("a"), {"tenant_id": "b"}) == {"tenant_id": "b"}
