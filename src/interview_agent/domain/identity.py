"""Who is calling."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """The two contours: people and their clients, or services of the deployment."""

    USER = "user"
    SERVICE = "service"


@dataclass(frozen=True, slots=True)
class Identity:
    """An authenticated caller.

    `subject` names the caller in logs; for an API key it is a fingerprint, never the key. `owner`
    is what the caller's meetings belong to: the tenant where there is one, else the subject.
    `scopes` are those of a service token; None: an API key, which has them all. `expires_at_s` is
    the Unix time at which the credential ends, None for one that does not.
    """

    subject: str
    auth_type: str
    kind: Kind
    tenant: str | None = None
    scopes: frozenset[str] | None = None
    expires_at_s: float | None = None

    @property
    def owner(self) -> str:
        """What the meetings of this caller belong to."""
        return f"tenant:{self.tenant}" if self.tenant else f"subject:{self.subject}"

    @property
    def is_service(self) -> bool:
        """Whether the caller is of the service contour."""
        return self.kind is Kind.SERVICE

    def has_any_scope(self, wanted: tuple[str, ...]) -> bool:
        """Whether the caller has one of the scopes; everybody has when none is wanted."""
        return not wanted or self.scopes is None or not self.scopes.isdisjoint(wanted)

    def may_see(self, owner: str) -> bool:
        """Whether the meetings of `owner` exist for this caller; for services all do."""
        return self.is_service or self.owner == owner
