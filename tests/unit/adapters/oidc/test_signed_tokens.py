"""Tokens whose form or signature is wrong, and what the library beneath would make of them."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from jose import jwt
from jose.exceptions import JOSEError

from forged_tokens import (
    AUDIENCE,
    NOW_S,
    EcSigner,
    RsaSigner,
    SecretSigner,
    b64,
    claims,
    raw_token,
    token,
)
from interview_agent.adapters.oidc import SharedSecret, SignedTokens
from interview_agent.adapters.oidc.key_set import read_key_set
from interview_agent.domain.errors import InvalidToken, StartupError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from interview_agent.adapters.oidc.signatures import VerificationKey

RSA = RsaSigner()
SECRET = b"a-secret-of-at-least-32-bytes-!!"


class Published:
    """Keys that were fetched already; counts who asks."""

    def __init__(self, *jwks: dict[str, Any], algorithms: Sequence[str] = ("RS256",)) -> None:
        self._keys = read_key_set({"keys": list(jwks)}, algorithms)
        self.asked = 0

    @property
    def current(self) -> bool:
        """There are no others."""
        return True

    async def find(self, kid: str | None, algorithm: str) -> VerificationKey | None:
        """Return what is there."""
        self.asked += 1
        return self._keys.find(kid, algorithm)


def reader(*jwks: dict[str, Any], typ: str | None = None) -> SignedTokens:
    return SignedTokens(Published(*(jwks or (RSA.jwk(),))), algorithms=["RS256"], typ=typ)


async def refusal(text: str, tokens: SignedTokens | None = None) -> str | None:
    """Return why a token is refused, None if it is read; the sender is told always the same."""
    try:
        await (tokens or reader()).claims_of(text)
    except InvalidToken as error:
        return error.refusal if error.message == "The token is not valid." else error.message
    return None


@pytest.mark.parametrize(
    "signer",
    [RsaSigner("k", f"RS{bits}") for bits in (256, 384, 512)]
    + [
        EcSigner("e1", "ES256"),
        EcSigner("e2", "ES384", "P-384"),
        EcSigner("e3", "ES512", "P-521"),
    ],
    ids=lambda signer: signer.algorithm,
)
async def test_what_a_published_key_signed_is_read(signer: RsaSigner | EcSigner) -> None:
    algorithms = ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512"]
    source = Published(signer.jwk(), RSA.jwk(), algorithms=algorithms)
    tokens = SignedTokens(source, algorithms=algorithms)
    assert await tokens.claims_of(token(signer)) == claims()


@dataclass(frozen=True)
class Case:
    """A token that must not be read.

    `library_takes` says that python-jose, asked as its documentation shows, gives the claims of it.
    """

    text: str
    reason: str
    library_takes: bool = False


def _unsigned(algorithm: str) -> str:
    header = {"alg": algorithm, "typ": "JWT", "kid": "main"}
    return f"{b64(json.dumps(header).encode())}.{b64(json.dumps(claims()).encode())}."


def _with_payload(payload: str) -> str:
    return raw_token(RSA, json.dumps({"alg": "RS256", "kid": "main"}), payload)


GOOD = token(RSA)
HEAD, BODY, SIGNATURE = GOOD.split(".")
SIGNED_OTHERWISE = token(RSA, claims(sub="eve")).rpartition(".")[2]
CASES = {
    # S17
    "alg none": Case(_unsigned("none"), "not_compact"),
    "alg None": Case(_unsigned("None"), "not_compact"),
    "alg nOnE, with a signature": Case(_unsigned("nOnE") + "AA", "algorithm_not_allowed"),
    "empty signature": Case(f"{HEAD}.{BODY}.", "not_compact"),
    "signature of something else": Case(f"{HEAD}.{BODY}.{SIGNED_OTHERWISE}", "bad_signature"),
    "signature cut short": Case(GOOD[:-8], "bad_signature"),
    "another body": Case(f"{HEAD}.{b64(json.dumps(claims()).encode())}.AAAA", "bad_signature"),
    "one part": Case("abc", "not_compact"),
    "two parts": Case(f"{HEAD}.{BODY}", "not_compact"),
    "five parts": Case(f"{HEAD}.AAAA.AAAA.AAAA.AAAA", "not_compact"),
    "empty": Case("", "not_compact"),
    "dots": Case("..", "not_compact"),
    "padding": Case(f"{HEAD}.{BODY}.{SIGNATURE}==", "not_compact", library_takes=True),
    "stray characters": Case(f"{HEAD}.{BODY}.{SIGNATURE}!!!!", "not_compact", library_takes=True),
    "newline at the end": Case(f"{GOOD}\n", "not_compact"),
    # S18
    "HS256 by the public key as PEM": Case(
        token(SecretSigner(RSA.public(Encoding.PEM), "main")), "algorithm_not_allowed"
    ),
    "HS256 by the public key as DER": Case(
        token(SecretSigner(RSA.public(Encoding.DER), "main")), "algorithm_not_allowed"
    ),
    "HS256 by an empty secret": Case(token(SecretSigner(b"", "main")), "algorithm_not_allowed"),
    "an algorithm that is not on the list": Case(
        token(RsaSigner(algorithm="RS512")), "algorithm_not_allowed"
    ),
    "algorithm as a list": Case(token(RSA, alg=["RS256"]), "algorithm_not_allowed"),
    "algorithm absent": Case(token(RSA, alg=None), "algorithm_not_allowed"),
    # S19
    "brings a key": Case(
        token(EcSigner("eve"), jwk=EcSigner("eve").jwk()), "algorithm_not_allowed"
    ),
    "brings a key, on the list": Case(
        token(RsaSigner("eve"), kid="main", jwk=RsaSigner("eve").jwk()), "brings_its_key"
    ),
    **{
        f"names {header}": Case(
            token(RSA, **{header: "http://127.0.0.1:1/keys"}), "brings_its_key", library_takes=True
        )
        for header in ("jku", "x5u", "x5c")
    },
    # S20
    "kid of a path": Case(token(RSA, kid="../../etc/passwd"), "unknown_key", library_takes=True),
    "kid of a statement": Case(token(RSA, kid="' or 1=1"), "unknown_key", library_takes=True),
    "kid of a number": Case(token(RSA, kid=1), "key_id_is_no_text", library_takes=True),
    "kid of a list": Case(token(RSA, kid=["main"]), "key_id_is_no_text", library_takes=True),
    "empty kid": Case(token(RSA, kid=""), "unknown_key", library_takes=True),
    "two kids": Case(
        raw_token(RSA, '{"alg":"RS256","kid":"eve","kid":"main"}', json.dumps(claims())),
        "not_json",
        library_takes=True,
    ),
    # S27
    "critical extension": Case(
        token(RSA, crit=["x"], x=1), "unknown_extension", library_takes=True
    ),
    "empty crit": Case(token(RSA, crit=[]), "unknown_extension", library_takes=True),
    # S28
    "9 kB": Case(token(RSA, claims(pad="x" * 9_000)), "too_large", library_takes=True),
    "64 kB": Case(token(RSA, claims(pad="x" * 64_000)), "too_large", library_takes=True),
    "kid of 100 kB": Case(token(RSA, kid="x" * 100_000), "too_large", library_takes=True),
    # S29
    "claim names twice": Case(
        _with_payload('{"sub":"eve","sub":"alice"}'), "not_json", library_takes=True
    ),
    "nested names twice": Case(
        _with_payload('{"sub":"alice","a":{"r":1,"r":2}}'), "not_json", library_takes=True
    ),
    "deep body": Case(_with_payload('{"a":' + "[" * 5_000 + "}"), "not_json"),
    "deep header": Case(raw_token(RSA, "[" * 5_000, "{}"), "not_json"),
    "body of a list": Case(_with_payload("[]"), "not_json"),
    "body of a text": Case(_with_payload('"alice"'), "not_json"),
    "body of nothing": Case(f"{HEAD}.AA.{SIGNATURE}", "not_json"),
    "header of a list": Case(raw_token(RSA, "[]", "{}"), "not_json"),
    "Infinity": Case(_with_payload('{"sub":"alice","n":Infinity}'), "not_json", library_takes=True),
    "NaN": Case(_with_payload('{"sub":"alice","n":NaN}'), "not_json", library_takes=True),
    "no UTF-8": Case(f"{HEAD}.{b64(bytes([0x7B, 0xFF, 0x7D]))}.{SIGNATURE}", "not_json"),
}


@pytest.mark.parametrize("name", CASES)
async def test_it_is_refused(name: str) -> None:
    assert await refusal(CASES[name].text) == CASES[name].reason


@pytest.mark.parametrize("name", CASES)
def test_of_the_library_alone_we_know_what_it_would_do(name: str) -> None:
    """Where it refuses as well our check is a second wall; where it does not, the only one."""
    options = {"verify_exp": False, "verify_iat": False}
    outcome = True
    try:
        jwt.decode(
            CASES[name].text,
            {"keys": [RSA.jwk()]},
            algorithms=["RS256"],
            audience=AUDIENCE,
            options=options,
        )
    except (JOSEError, RecursionError):
        outcome = False
    assert outcome is CASES[name].library_takes


async def test_the_good_token_beside_them_is_read() -> None:
    assert await refusal(GOOD) is None


class TestKeyIds:
    """S20."""

    async def test_without_an_id_the_only_key_is_meant(self) -> None:
        assert await refusal(token(RSA, kid=None)) is None

    async def test_without_an_id_none_of_two_is(self) -> None:
        two = reader(RSA.jwk(), RsaSigner("other").jwk())
        assert await refusal(token(RSA, kid=None), two) == "unknown_key"
        assert await refusal(GOOD, two) is None

    async def test_a_key_of_another_kind_does_not_count(self) -> None:
        both = reader(RSA.jwk(), EcSigner().jwk())
        assert await refusal(token(RSA, kid=None), both) is None

    async def test_an_id_that_two_keys_have_names_none(self) -> None:
        twins = reader(RSA.jwk(), RsaSigner("eve").jwk(kid="main"))
        assert await refusal(GOOD, twins) == "unknown_key"

    async def test_the_key_of_an_id_is_the_only_one_that_is_tried(self) -> None:
        two = reader(RSA.jwk(), RsaSigner("other").jwk())
        assert await refusal(token(RSA, kid="other"), two) == "bad_signature"


class TestType:
    """S26: tokens for other purposes carry the same signature."""

    @pytest.mark.parametrize(
        ("typ", "reason"),
        [
            ("at+jwt", None),
            ("AT+JWT", None),
            ("application/at+jwt", None),
            ("JWT", "wrong_type"),
            ("id+jwt", "wrong_type"),
            ("logout+jwt", "wrong_type"),
            ("refresh+jwt", "wrong_type"),
            (None, "wrong_type"),
            (["at+jwt"], "wrong_type"),
        ],
    )
    async def test_only_the_wanted_type_is_read(self, typ: object, reason: str | None) -> None:
        assert await refusal(token(RSA, typ=typ), reader(typ="at+jwt")) == reason

    async def test_without_a_wish_any_is(self) -> None:
        for typ in ("JWT", "at+jwt", None):
            assert await refusal(token(RSA, typ=typ)) is None


class TestSize:
    """S28: what is too large costs nothing."""

    async def test_no_key_is_looked_for_and_no_time_is_spent(self) -> None:
        source = Published(RSA.jwk())
        tokens = SignedTokens(source, algorithms=["RS256"])
        huge = f"{HEAD}.{'A' * 5_000_000}.{SIGNATURE}"
        started = time.perf_counter()
        assert await refusal(huge, tokens) == "too_large"
        assert time.perf_counter() - started < 0.005
        assert source.asked == 0

    async def test_a_large_token_within_the_limit_is_read(self) -> None:
        text = token(RSA, claims(groups="g" * 5_000))
        assert 7_000 < len(text) < 8_192
        assert await refusal(text) is None


class TestSharedSecret:
    """A secret must be one."""

    def test_python_jose_takes_a_public_key_in_der_and_nothing_at_all_for_secrets(self) -> None:
        options = {"verify_exp": False, "verify_iat": False}
        for secret in (RSA.public(Encoding.DER), b""):
            text = token(SecretSigner(secret))
            assert jwt.decode(
                text, secret, algorithms=["HS256"], audience=AUDIENCE, options=options
            )

    @pytest.mark.parametrize(
        "secret",
        [b"", b"short", SECRET[:31], RSA.public(Encoding.DER), RSA.public(Encoding.PEM)],
        ids=["empty", "short", "31 bytes", "DER", "PEM"],
    )
    def test_a_weak_or_public_one_stops_the_start_without_being_repeated(
        self, secret: bytes
    ) -> None:
        with pytest.raises(StartupError) as refused:
            SharedSecret(secret, ["HS256"])
        assert not secret or secret.decode(errors="replace") not in str(refused.value)

    def test_a_longer_hash_needs_a_longer_secret(self) -> None:
        with pytest.raises(StartupError):
            SharedSecret(SECRET, ["HS256", "HS512"])

    async def test_it_verifies_what_it_has_signed_and_nothing_else(self) -> None:
        tokens = SignedTokens(SharedSecret(SECRET, ["HS256"]), algorithms=["HS256"])
        assert await tokens.claims_of(token(SecretSigner(SECRET, "any"))) == claims()
        assert await refusal(token(SecretSigner(SECRET[::-1])), tokens) == "bad_signature"
        assert await refusal(GOOD, tokens) == "algorithm_not_allowed"


async def test_python_jose_accepts_a_token_without_exp_and_without_aud() -> None:
    """Why claims are checked by ourselves."""
    text = token(RSA, claims(exp=None, aud=None))
    assert jwt.decode(text, RSA.jwk(), algorithms=["RS256"], audience=AUDIENCE)
    assert jwt.decode(text, RSA.jwk(), algorithms=None)
    with pytest.raises(OverflowError):
        jwt.decode(token(RSA, claims(exp=float("inf"))), RSA.jwk(), algorithms=["RS256"])


def test_the_forger_agrees_with_the_library() -> None:
    """A forger that signs wrongly would make every refusal above worthless."""
    assert jwt.get_unverified_claims(GOOD)["exp"] > NOW_S
    assert jwt.decode(
        GOOD, RSA.jwk(), algorithms=["RS256"], audience=AUDIENCE, options={"verify_iat": False}
    )
