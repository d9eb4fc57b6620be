"""A secret that this service shares with who makes its tokens, for development."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interview_agent.adapters.oidc.signatures import UnusableKeyError, VerificationKey
from interview_agent.domain.errors import StartupError

if TYPE_CHECKING:
    from collections.abc import Sequence


class SharedSecret:
    """Verifies with one secret, whatever key a token names. Raises `StartupError` for a bad one."""

    def __init__(self, secret: bytes, algorithms: Sequence[str]) -> None:
        try:
            self._keys = {each: VerificationKey.of_secret(secret, each) for each in algorithms}
        except UnusableKeyError:
            message = (
                "JWT_SHARED_SECRET must be as long as the hash of OIDC_ALGORITHMS"
                " (32 bytes for HS256) and no public key"
            )
            raise StartupError(message) from None

    @property
    def current(self) -> bool:
        """There is no other secret."""
        return True

    async def find(self, kid: str | None, algorithm: str) -> VerificationKey | None:  # noqa: ARG002
        """Return the key of the algorithm."""
        return self._keys.get(algorithm)
