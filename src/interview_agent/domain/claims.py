"""What the claims of a token must say, and who its bearer is.

Signatures are none of this module's business: it is given claims that were verified.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from interview_agent.domain.errors import Forbidden, InvalidToken
from interview_agent.domain.identity import Identity, Kind
from interview_agent.domain.ids import is_name

MAX_SUBJECT_CHARS = 255

_SEPARATORS = re.compile(r"[,\s]+")
_UNPRINTABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode categories that would break a log line or a database: controls, halves of pairs."""

Claims = Mapping[str, Any]


def claim_at(claims: Claims, path: str) -> Any:
    """Return the claim of this very name, else the one that the dotted path leads to, else None."""
    if path in claims:
        return claims[path]
    found: Any = claims
    for step in path.split("."):
        if not isinstance(found, Mapping):
            return None
        found = found.get(step)
    return found


def words_of(value: Any) -> frozenset[str]:
    """Return the words of a claim: a text split on commas and spaces, or lists of such texts."""
    return frozenset(word for text in _texts_of(value) for word in _SEPARATORS.split(text) if word)


def _texts_of(value: Any) -> Iterator[str]:
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, str):
            yield each
        elif isinstance(each, list):
            waiting.extend(each)


@dataclass(frozen=True, slots=True)
class TokenTerms:
    """What a token must say to be accepted at all; times in seconds.

    `issuer` and `audience` are compared exactly, None: not at all. A token is good from
    `leeway_s` before its `nbf` and `iat` to `leeway_s` after its `exp`, and must not have been
    issued for longer than `max_lifetime_s`.
    """

    issuer: str | None = None
    audience: str | None = None
    leeway_s: float = 30.0
    max_lifetime_s: float = 86_400.0

    def end_of(self, claims: Claims, now_s: float) -> float:
        """Return the Unix time from which on the token is refused. Raises `InvalidToken`."""
        self._check_parties(claims)
        expires_s = _time_of(claims, "exp")
        if expires_s is None:
            raise InvalidToken("no_expiry")
        if now_s >= expires_s + self.leeway_s:
            raise InvalidToken("expired", "The token has expired.")
        issued_s = _time_of(claims, "iat")
        for start_s in (_time_of(claims, "nbf"), issued_s):
            if start_s is not None and start_s > now_s + self.leeway_s:
                raise InvalidToken("not_yet_valid")
        begin_s = now_s if issued_s is None else issued_s
        if expires_s - begin_s > self.max_lifetime_s:
            raise InvalidToken("lives_too_long")
        return expires_s + self.leeway_s

    def _check_parties(self, claims: Claims) -> None:
        if self.issuer is not None and claims.get("iss") != self.issuer:
            raise InvalidToken("wrong_issuer")
        if self.audience is None:
            return
        audience = claims.get("aud")
        if self.audience not in (audience if isinstance(audience, list) else [audience]):
            raise InvalidToken("wrong_audience")


def _time_of(claims: Claims, name: str) -> float | None:
    """Return a claim that is a Unix time, None where it is absent. Raises `InvalidToken`."""
    if name not in claims:
        return None
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidToken("time_is_no_number")
    # Infinity is a number too, and so is what no float can hold.
    if not 0 <= value < 2**53:
        raise InvalidToken("time_out_of_range")
    return float(value)


@dataclass(frozen=True, slots=True)
class BearerRules:
    """How an identity is read from claims. Claims are named by dotted paths, values are exact.

    A token is a service's if its `service_claim` has one of `service_values` or its `role_claim`
    one of `service_roles`; with `trusted_clients` only if one of these clients, named by `azp` or
    else `client_id`, got it.
    """

    service_claim: str = "token_type"
    service_values: frozenset[str] = frozenset()
    role_claim: str = "roles"
    service_roles: frozenset[str] = frozenset()
    scope_claim: str = "scope"
    trusted_clients: frozenset[str] = frozenset()
    tenant_claim: str = "tenant_id"

    def identity_of(self, claims: Claims, ends_at_s: float) -> Identity:
        """Return the bearer. Raises `InvalidToken`, and `Forbidden` for an unclear tenant."""
        kind = Kind.SERVICE if self._is_service(claims) else Kind.USER
        return Identity(
            subject=_subject_of(claims, kind),
            auth_type="jwt",
            kind=kind,
            tenant=self._tenant_of(claims),
            scopes=words_of(claim_at(claims, self.scope_claim)),
            expires_at_s=ends_at_s,
        )

    def _is_service(self, claims: Claims) -> bool:
        if self.trusted_clients:
            client = claims.get("azp", claims.get("client_id"))
            if not isinstance(client, str) or client not in self.trusted_clients:
                return False
        return not (
            self.service_values.isdisjoint(words_of(claim_at(claims, self.service_claim)))
            and self.service_roles.isdisjoint(words_of(claim_at(claims, self.role_claim)))
        )

    def _tenant_of(self, claims: Claims) -> str | None:
        tenant = claim_at(claims, self.tenant_claim)
        if tenant is None:
            return None
        # Of several tenants none is meant: to pick one would open the meetings of another.
        if not isinstance(tenant, str) or not is_name(tenant):
            message = "The tenant of the token is not one name."
            raise Forbidden(message)
        return tenant


def _subject_of(claims: Claims, kind: Kind) -> str:
    subject = claims.get("sub")
    if subject is None and kind is Kind.SERVICE:
        subject = claims.get("client_id")
    if not isinstance(subject, str) or not subject.strip():
        raise InvalidToken("no_subject")
    if len(subject) > MAX_SUBJECT_CHARS:
        raise InvalidToken("subject_too_long")
    if any(unicodedata.category(char) in _UNPRINTABLE for char in subject):
        raise InvalidToken("subject_unprintable")
    return subject
