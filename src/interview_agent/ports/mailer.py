"""Sending one e-mail."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Mailer(Protocol):
    """Hands a message to a mail server."""

    async def send(
        self, recipients: Sequence[str], subject: str, text: str, *, message_id: str
    ) -> None:
        """Send a plain-text message. Raises `DeliveryError`.

        `message_id` is the same whenever the same message is sent again, so that a receiver can
        drop repeats.
        """
        ...
