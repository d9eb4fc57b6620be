"""Sending one e-mail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence


class Mailer(Protocol):
    """Hands a message to a mail server."""

    async def send(
        self, recipients: Sequence[str], subject: str, text: str, *, message_id: str
    ) -> Sequence[str]:
        """Send a plain-text message and return the recipients that the server refused.

        Raises `DeliveryError` unless one recipient at least was accepted.

        `message_id` is the same whenever the same message is sent again, so that a receiver can
        drop repeats.
        """
        ...
