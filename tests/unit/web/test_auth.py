"""Who a request comes from."""

from __future__ import annotations

import hashlib

import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from interview_agent.domain.errors import StartupError, Unauthorized
from interview_agent.domain.identity import Identity, Kind
from interview_agent.web.auth import ApiKeys, OpenDoor


async def identity(keys: ApiKeys, *given: str) -> Identity:
    headers = CIMultiDict([("X-API-Key", key) for key in given])
    return await keys.identify(make_mocked_request("GET", "/", headers=headers))


def digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


async def test_without_authentication_everybody_is_one_anonymous_user() -> None:
    found = await OpenDoor().identify(make_mocked_request("GET", "/"))
    assert (found.subject, found.auth_type, found.kind) == ("anonymous", "none", Kind.USER)


async def test_a_key_is_known_by_its_fingerprint_and_never_by_itself() -> None:
    found = await identity(ApiKeys(["secret-one", "secret-two"]), "secret-two")
    assert found == Identity(f"key:{digest('secret-two')[:12]}", "user_api_key", Kind.USER)
    assert "secret" not in repr(found)


async def test_a_hashed_key_is_the_same_caller_as_the_plain_one() -> None:
    hashed = ApiKeys([f"sha256${digest('secret').upper()}"])
    assert await identity(hashed, "secret") == await identity(ApiKeys(["secret"]), "secret")


@pytest.mark.parametrize("entry", ["acme:secret", f"acme:sha256${digest('secret')}"])
async def test_the_tenant_of_a_key_owns_what_it_creates(entry: str) -> None:
    found = await identity(ApiKeys([entry]), "secret")
    assert (found.tenant, found.owner) == ("acme", "tenant:acme")


async def test_a_service_key_is_of_the_service_contour_even_if_listed_twice() -> None:
    keys = ApiKeys(["both", "user"], ["both"])
    assert (await identity(keys, "both")).kind is Kind.SERVICE
    assert (await identity(keys, "user")).kind is Kind.USER


@pytest.mark.parametrize(
    "given",
    [[], [""], ["wrong"], ["secret", "secret"], ["secret "], ["x" * 5000], [digest("secret")]],
)
async def test_what_is_not_exactly_one_known_key_is_refused(given: list[str]) -> None:
    with pytest.raises(Unauthorized):
        await identity(ApiKeys(["secret"]), *given)


async def test_the_tenant_part_is_not_part_of_the_key() -> None:
    with pytest.raises(Unauthorized):
        await identity(ApiKeys(["acme:secret"]), "acme:secret")


async def test_no_key_at_all_lets_nobody_in() -> None:
    with pytest.raises(Unauthorized):
        await identity(ApiKeys([]), "anything")


@pytest.mark.parametrize("entry", ["", "acme:", ":key", "a b:key", "sha256$12", "acme:sha256$zz"])
def test_a_malformed_entry_stops_the_start_without_being_repeated(entry: str) -> None:
    with pytest.raises(StartupError) as refused:
        ApiKeys([entry])
    assert not entry or entry not in str(refused.value)
