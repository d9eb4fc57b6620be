"""Who comes with a token, and who with a key where tokens are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from forged_tokens import AUDIENCE, ISSUER, NOW_S, claims
from interview_agent.domain.claims import BearerRules, TokenTerms
from interview_agent.domain.errors import (
    AgentError,
    CredentialsAmbiguous,
    Forbidden,
    InvalidToken,
    Unauthorized,
)
from interview_agent.domain.identity import Identity, Kind
from interview_agent.web.auth import ApiKeys, OpenDoor
from interview_agent.web.bearer import BearerTokens

if TYPE_CHECKING:
    from interview_agent.domain.claims import Claims

BEARER = "Authorization"
KEY = "X-API-Key"


class KnownTokens:
    """Reads the tokens that it was given."""

    def __init__(self, **known: Claims) -> None:
        self._known = known

    async def claims_of(self, token: str) -> Claims:
        """Return what was given for it."""
        if token not in self._known:
            raise InvalidToken("unknown_key")
        return self._known[token]


TOKENS = KnownTokens(
    alice=claims(),
    robot=claims(sub=None, client_id="robot", token_type="m2m", scope="agent.admin.read"),
    expired=claims(exp=int(NOW_S) - 60),
    torn=claims(tenant_id=["acme", "globex"]),
)


class Door(BearerTokens):
    """Stands at `NOW_S` until it is moved."""

    def __init__(self, service_keys: ApiKeys | None = None) -> None:
        self.now_s = NOW_S
        super().__init__(
            TOKENS,
            TokenTerms(issuer=ISSUER, audience=AUDIENCE, leeway_s=30.0),
            BearerRules(service_values=frozenset({"m2m"})),
            service_keys=service_keys,
            now=lambda: self.now_s,
        )


async def identity(door: Any, *headers: tuple[str, str], path: str = "/") -> Identity:
    request = make_mocked_request("GET", path, headers=CIMultiDict(headers))
    found: Identity = await door.identify(request)
    return found


@pytest.mark.parametrize(
    "shown", ["Bearer alice", "bearer alice", "BEARER alice", "Bearer   alice ", " Bearer alice"]
)
async def test_a_token_says_who_its_bearer_is(shown: str) -> None:
    """S16: the word `bearer` may be written as one likes."""
    assert await identity(Door(), (BEARER, shown)) == Identity(
        subject="alice",
        auth_type="jwt",
        kind=Kind.USER,
        scopes=frozenset(),
        expires_at_s=NOW_S + 630,
    )


async def test_a_token_of_a_client_is_a_services() -> None:
    found = await identity(Door(), (BEARER, "Bearer robot"))
    assert (found.subject, found.kind, found.scopes) == (
        *("robot", Kind.SERVICE),
        {"agent.admin.read"},
    )


REFUSED: dict[str, tuple[list[tuple[str, str]], type[AgentError]]] = {
    "nothing": ([], Unauthorized),
    "nothing after the word": ([(BEARER, "Bearer")], InvalidToken),
    "blanks after the word": ([(BEARER, "Bearer   ")], InvalidToken),
    "an empty header": ([(BEARER, "")], Unauthorized),
    "another scheme": ([(BEARER, "Basic alice")], Unauthorized),
    "no scheme": ([(BEARER, "alice")], Unauthorized),
    "a longer word": ([(BEARER, "Bearers alice")], Unauthorized),
    "two in one header": ([(BEARER, "Bearer alice, Bearer alice")], InvalidToken),
    "two headers": ([(BEARER, "Bearer alice"), (BEARER, "Bearer alice")], CredentialsAmbiguous),
    "an unknown token": ([(BEARER, "Bearer eve")], InvalidToken),
    "an expired token": ([(BEARER, "Bearer expired")], InvalidToken),
    "two tenants": ([(BEARER, "Bearer torn")], Forbidden),
    "a user key": ([(KEY, "user")], Unauthorized),
    "a service key": ([(KEY, "machine")], Unauthorized),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_what_is_not_one_good_token_is_refused(case: str) -> None:
    """S16."""
    headers, error = REFUSED[case]
    with pytest.raises(error):
        await identity(Door(), *headers)


@pytest.mark.parametrize("name", ["access_token", "token"])
async def test_a_token_in_the_address_is_none(name: str) -> None:
    """S16."""
    with pytest.raises(Unauthorized):
        await identity(Door(), path=f"/?{name}=alice")


class TestKeysBesideTokens:
    """Outside production a service key may do where no token is shown."""

    door = Door(ApiKeys((), ["machine"]))

    async def test_a_service_key_is_a_service_with_all_scopes(self) -> None:
        found = await identity(self.door, (KEY, "machine"))
        assert (found.kind, found.auth_type, found.scopes) == (
            *(Kind.SERVICE, "service_api_key"),
            None,
        )

    @pytest.mark.parametrize("key", ["user", "", "alice"])
    async def test_no_other_key_is_taken(self, key: str) -> None:
        with pytest.raises(Unauthorized):
            await identity(self.door, (KEY, key))

    @pytest.mark.parametrize("shown", ["Bearer eve", "Bearer", "bearer expired"])
    async def test_a_bad_token_is_not_mended_by_a_good_key(self, shown: str) -> None:
        with pytest.raises(Unauthorized):
            await identity(self.door, (BEARER, shown), (KEY, "machine"))

    async def test_a_good_token_is_not_raised_by_a_good_key(self) -> None:
        found = await identity(self.door, (BEARER, "Bearer alice"), (KEY, "machine"))
        assert (found.subject, found.kind) == ("alice", Kind.USER)


async def test_where_keys_are_asked_for_a_token_is_nothing() -> None:
    with pytest.raises(Unauthorized):
        await identity(ApiKeys(["alice"]), (BEARER, "Bearer alice"))
    found = await identity(ApiKeys(["alice"]), (BEARER, "Bearer eve"), (KEY, "alice"))
    assert found.auth_type == "user_api_key"


class TestLapses:
    """S37, S38: who was let in is not let in for ever."""

    async def test_a_token_lapses_when_its_leeway_is_over(self) -> None:
        door = Door()
        found = await identity(door, (BEARER, "Bearer alice"))
        door.now_s = NOW_S + 629
        assert door.lapsed(found) is None
        door.now_s = NOW_S + 630
        assert door.lapsed(found) == "token_expired"

    async def test_a_key_lapses_when_it_is_struck(self) -> None:
        keys = ApiKeys(["alice", "acme:bob"], ["machine"])
        found = [await identity(keys, (KEY, key)) for key in ("alice", "bob", "machine")]
        assert [keys.lapsed(one) for one in found] == [None, None, None]
        keys.replace(["acme:bob"], ["other"])
        assert [keys.lapsed(one) for one in found] == ["key_revoked", None, "key_revoked"]
        with pytest.raises(Unauthorized):
            await identity(keys, (KEY, "alice"))

    async def test_a_key_that_changes_sides_lapses(self) -> None:
        keys = ApiKeys(["alice"])
        found = await identity(keys, (KEY, "alice"))
        keys.replace(["acme:alice"], [])
        assert keys.lapsed(found) == "key_revoked"

    async def test_a_service_key_beside_tokens_lapses_too(self) -> None:
        keys = ApiKeys((), ["machine"])
        door = Door(keys)
        found = await identity(door, (KEY, "machine"))
        assert door.lapsed(found) is None
        keys.replace((), ())
        assert door.lapsed(found) == "key_revoked"

    async def test_an_open_door_stays_open(self) -> None:
        assert OpenDoor().lapsed(await identity(OpenDoor())) is None


async def test_a_refused_token_is_known_by_its_fault_alone(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(InvalidToken) as refused:
        await identity(Door(), (BEARER, "Bearer planted-secret"))
    assert refused.value.refusal == "unknown_key"
    printed = capsys.readouterr()
    written = f"{refused.value!r}{refused.value}{printed.out}{printed.err}{caplog.text}"
    assert "planted-secret" not in written
