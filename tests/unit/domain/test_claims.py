"""What the claims of a token must say, and who its bearer is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from forged_tokens import AUDIENCE, ISSUER, NOW_S, claims
from interview_agent.domain.claims import BearerRules, TokenTerms, claim_at, words_of
from interview_agent.domain.errors import AgentError, Forbidden, InvalidToken
from interview_agent.domain.identity import Identity, Kind
from interview_agent.domain.policy import Need, Policy, ScopeRules

TERMS = TokenTerms(issuer=ISSUER, audience=AUDIENCE, leeway_s=30.0)
RULES = BearerRules(
    service_values=frozenset({"service", "m2m"}), service_roles=frozenset({"service", "admin"})
)
NOW = int(NOW_S)


def refusal(terms: TokenTerms = TERMS, **changes: Any) -> str | None:
    """Return why these claims are refused, None if they are taken."""
    try:
        terms.end_of(claims(**changes), NOW_S)
    except InvalidToken as error:
        return error.refusal
    return None


def bearer(rules: BearerRules = RULES, **changes: Any) -> Identity:
    return rules.identity_of(claims(**changes), NOW_S + 630)


class TestTimes:
    """S21 to S23, S29: python-jose lets a token without `exp` in, and breaks on an infinite one."""

    @pytest.mark.parametrize(
        ("changes", "expected"),
        {
            "good": ({}, None),
            "no exp": ({"exp": None}, "no_expiry"),
            "expired beyond the leeway": ({"exp": NOW - 31}, "expired"),
            "expired at the end of the leeway": ({"exp": NOW - 30}, "expired"),
            "expired within the leeway": ({"exp": NOW - 29}, None),
            "a fraction of a second left": ({"exp": NOW - 29.5}, None),
            "year 9999": ({"exp": 253_402_300_799}, "lives_too_long"),
            "a day and a second": ({"iat": NOW, "exp": NOW + 86_401}, "lives_too_long"),
            "a day": ({"iat": NOW, "exp": NOW + 86_400}, None),
            "a day, without iat": ({"iat": None, "exp": NOW + 86_401}, "lives_too_long"),
            "short, without iat": ({"iat": None}, None),
            "nbf beyond the leeway": ({"nbf": NOW + 31}, "not_yet_valid"),
            "nbf within the leeway": ({"nbf": NOW + 29}, None),
            "iat beyond the leeway": ({"iat": NOW + 31}, "not_yet_valid"),
            "text": ({"exp": "abc"}, "time_is_no_number"),
            "number as text": ({"exp": str(NOW + 60)}, "time_is_no_number"),
            "true": ({"exp": True}, "time_is_no_number"),
            "list": ({"exp": [NOW + 60]}, "time_is_no_number"),
            "object": ({"exp": {"at": NOW}}, "time_is_no_number"),
            "infinite": ({"exp": json.loads("1e400")}, "time_out_of_range"),
            "no number at all": ({"exp": float("nan")}, "time_out_of_range"),
            "negative": ({"exp": -1}, "time_out_of_range"),
            "larger than a float": ({"exp": 10**400}, "time_out_of_range"),
            "bad nbf": ({"nbf": "now"}, "time_is_no_number"),
            "bad iat": ({"iat": float("inf")}, "time_out_of_range"),
        }.values(),
    )
    def test_a_token_is_good_in_its_time_alone(
        self, changes: dict[str, Any], expected: str | None
    ) -> None:
        assert refusal(**changes) == expected

    def test_no_leeway_means_none(self) -> None:
        strict = TokenTerms(leeway_s=0.0)
        assert refusal(strict, exp=NOW + 1) is None
        assert refusal(strict, exp=NOW) == "expired"
        assert refusal(strict, nbf=NOW + 1) == "not_yet_valid"

    def test_the_bearer_is_told_that_the_token_expired_and_of_other_faults_nothing(self) -> None:
        with pytest.raises(InvalidToken, match=r"unauthorized: The token has expired\.$"):
            TERMS.end_of(claims(exp=NOW - 60), NOW_S)
        with pytest.raises(InvalidToken, match=r"unauthorized: The token is not valid\.$"):
            TERMS.end_of(claims(aud="other"), NOW_S)

    def test_it_ends_when_the_leeway_does(self) -> None:
        assert TERMS.end_of(claims(exp=NOW + 100), NOW_S) == NOW + 130


class TestParties:
    """S24, S25. python-jose takes a token without `aud` even when one is asked for."""

    @pytest.mark.parametrize(
        ("audience", "welcome"),
        [
            (AUDIENCE, True),
            (["account", AUDIENCE], True),
            (None, False),
            ("account", False),
            ([], False),
            (AUDIENCE.upper(), False),
            (AUDIENCE[:-1], False),
            (f"{AUDIENCE} account", False),
            ([[AUDIENCE]], False),
            ({AUDIENCE: 1}, False),
            (1, False),
        ],
    )
    def test_a_token_must_be_meant_for_us(self, audience: object, welcome: bool) -> None:
        assert refusal(aud=audience) == (None if welcome else "wrong_audience")

    @pytest.mark.parametrize(
        "issuer",
        [None, "https://evil.example", f"{ISSUER}/", ISSUER.replace("https", "http"), [ISSUER]],
    )
    def test_a_token_must_come_from_the_issuer_exactly(self, issuer: object) -> None:
        assert refusal(iss=issuer) == "wrong_issuer"

    def test_what_is_not_configured_is_not_asked(self) -> None:
        assert refusal(TokenTerms(), iss=None, aud=None) is None


class TestSubject:
    """S30."""

    @pytest.mark.parametrize(
        "subject", ["alice", "x" * 255, "🦊", "a\u202eb", '{"a":1}', "auth0|5f", "Анна Ким"]
    )
    def test_any_text_that_a_log_can_show_is_a_subject(self, subject: str) -> None:
        found = bearer(sub=subject)
        assert (found.subject, found.owner) == (subject, f"subject:{subject}")

    @pytest.mark.parametrize(
        "subject",
        [
            *(None, "", "  ", "x" * 256, "x" * 300, "a\0b", "a\r\nb", "a\x1b[31m", "a\x85b"),
            *("\ud800", "a\u2028b", {"a": 1}, 7, True, ["alice"]),
        ],
    )
    def test_what_would_break_a_log_or_a_row_is_none(self, subject: object) -> None:
        with pytest.raises(InvalidToken):
            bearer(sub=subject)

    def test_a_service_is_known_by_its_client_where_it_has_no_subject(self) -> None:
        assert bearer(sub=None, client_id="robot", token_type="m2m").subject == "robot"
        assert bearer(sub="s", client_id="robot", token_type="m2m").subject == "s"

    def test_a_user_is_not(self) -> None:
        with pytest.raises(InvalidToken):
            bearer(sub=None, client_id="robot")

    def test_an_empty_subject_is_not_replaced(self) -> None:
        with pytest.raises(InvalidToken):
            bearer(sub="", client_id="robot", token_type="m2m")


class TestContour:
    """Who is a service: S05, S12 and nested claims."""

    @pytest.mark.parametrize(
        ("said", "kind"),
        [
            ({}, Kind.USER),
            ({"token_type": "m2m"}, Kind.SERVICE),
            ({"token_type": ["x", ["service"]]}, Kind.SERVICE),
            ({"token_type": "M2M"}, Kind.USER),
            ({"token_type": "m2m2"}, Kind.USER),
            ({"token_type": {"service": True}}, Kind.USER),
            ({"token_type": True}, Kind.USER),
            ({"roles": "viewer,admin"}, Kind.SERVICE),
            ({"roles": "viewer admin"}, Kind.SERVICE),
            ({"roles": ["administrator"]}, Kind.USER),
            ({"roles": "Admin"}, Kind.USER),
            ({"realm_access": {"roles": ["admin"]}}, Kind.USER),
        ],
    )
    def test_only_the_exact_words_make_a_service(self, said: dict[str, Any], kind: Kind) -> None:
        assert bearer(**said).kind is kind

    def test_a_dotted_path_leads_into_nested_claims(self) -> None:
        rules = BearerRules(
            role_claim="realm_access.roles",
            service_roles=frozenset({"admin"}),
            scope_claim="grants.agent.scope",
        )
        found = bearer(rules, realm_access={"roles": ["admin"]}, grants={"agent": {"scope": "a b"}})
        assert (found.kind, found.scopes) == (Kind.SERVICE, {"a", "b"})
        for other in ({"roles": ["admin"]}, {"realm_access": ["roles", "admin"]}):
            assert bearer(rules, **other).kind is Kind.USER

    def test_a_claim_of_the_very_name_comes_before_the_path(self) -> None:
        said = {"https://id.example/roles": 1, "a.b": 2, "a": {"b": 3}}
        assert [claim_at(said, path) for path in ("https://id.example/roles", "a.b", "a.c")] == [
            *(1, 2, None)
        ]

    @pytest.mark.parametrize(
        ("said", "kind"),
        [
            ({"azp": "robots"}, Kind.SERVICE),
            ({"client_id": "robots"}, Kind.SERVICE),
            ({"azp": "web-app"}, Kind.USER),
            ({"azp": "web-app", "client_id": "robots"}, Kind.USER),
            ({"azp": ["robots"]}, Kind.USER),
            ({}, Kind.USER),
        ],
    )
    def test_with_trusted_clients_no_other_gets_service_tokens(
        self, said: dict[str, Any], kind: Kind
    ) -> None:
        rules = BearerRules(
            service_roles=frozenset({"service"}), trusted_clients=frozenset({"robots"})
        )
        found = bearer(rules, roles=["service"], scope="agent.admin", **said)
        assert found.kind is kind
        verdict = Policy(ScopeRules(admin_read=("agent.admin",))).judge(found, Need.ADMIN_READ)
        assert verdict.allowed is (kind is Kind.SERVICE)

    @pytest.mark.parametrize(
        ("scope", "allowed"),
        [
            ("agent.admin.read", True),
            ("openid agent.admin", True),
            ("openid,agent.admin.read", True),
            (["openid", ["agent.admin.read"]], True),
            ("agent.admin.readX", False),
            ("agent.admin.rea", False),
            ("AGENT.ADMIN.READ", False),
            ({"agent.admin.read": True}, False),
            (7, False),
            (None, False),
        ],
    )
    def test_only_exact_scopes_count_and_one_is_enough(self, scope: object, allowed: bool) -> None:
        policy = Policy(ScopeRules(admin_read=("agent.admin.read", "agent.admin")))
        found = bearer(roles="service", scope=scope)
        assert policy.judge(found, Need.ADMIN_READ).allowed is allowed

    def test_a_user_token_with_every_scope_is_still_a_users(self) -> None:
        found = bearer(scope="agent.admin agent.admin.read")
        assert not Policy().judge(found, Need.ADMIN_READ).allowed

    def test_deep_lists_are_read_without_recursion(self) -> None:
        nested: Any = "admin"
        for _ in range(100_000):
            nested = [nested]
        assert words_of(nested) == {"admin"}


class TestTenant:
    """S31: a list never means its first item."""

    def test_the_tenant_owns_what_its_members_create(self) -> None:
        found = bearer(tenant_id="acme")
        assert (found.tenant, found.owner) == ("acme", "tenant:acme")

    @pytest.mark.parametrize(
        "tenant", ["", " ", "*", "acme,globex", "acme globex", "a\0", "x" * 65, 7, True, {"a": 1}]
    )
    def test_a_tenant_that_is_not_one_name_is_refused(self, tenant: object) -> None:
        with pytest.raises(Forbidden):
            bearer(tenant_id=tenant)

    @pytest.mark.parametrize("tenants", [["acme", "globex"], ["acme"], []])
    def test_a_list_names_no_tenant(self, tenants: list[str]) -> None:
        with pytest.raises(Forbidden):
            bearer(tenant_id=tenants)

    def test_without_one_a_user_owns_by_subject_unless_tenants_are_enforced(self) -> None:
        found = bearer()
        assert (found.tenant, found.owner) == (None, "subject:alice")
        assert Policy().judge(found, Need.MEETING_WRITE).allowed
        assert not Policy(tenant_required=True).judge(found, Need.MEETING_WRITE).allowed

    def test_it_is_found_by_its_path(self) -> None:
        rules = BearerRules(tenant_claim="organization.id")
        assert bearer(rules, organization={"id": "acme"}).tenant == "acme"

    def test_no_refusal_repeats_what_was_claimed(self) -> None:
        with pytest.raises(AgentError) as refused:
            bearer(tenant_id="acme globex")
        assert "globex" not in str(refused.value)
