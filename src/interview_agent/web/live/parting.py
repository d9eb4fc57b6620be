"""How a socket ends."""

from __future__ import annotations

from aiohttp import WSCloseCode

KNOWN_CODES = frozenset(code.value for code in WSCloseCode)


class Parted(Exception):
    """The socket ends with a close code; the reason goes to the client and the log."""

    def __init__(self, code: int, reason: str) -> None:
        self.code = int(code)
        self.reason = reason
        super().__init__(f"{code} {reason}")

    @property
    def code_label(self) -> str:
        """The code as a label: clients may close with any number up to 4999."""
        return str(self.code) if self.code in KNOWN_CODES else "other"

    @property
    def client_listens(self) -> bool:
        """Whether it makes sense to send what is still owed."""
        return self.code in _SAID_TO_A_LISTENER


_SAID_TO_A_LISTENER = frozenset(
    {WSCloseCode.POLICY_VIOLATION, WSCloseCode.INTERNAL_ERROR, WSCloseCode.SERVICE_RESTART}
)


def gone(code: int | None = None) -> Parted:
    """The client left, with its close code where it sent one."""
    return Parted(code or WSCloseCode.ABNORMAL_CLOSURE, "the client left")
