"""Mail by SMTP, from a thread of its own so that a slow server blocks nothing."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from contextlib import suppress
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import parseaddr
from typing import TYPE_CHECKING, Literal

from interview_agent.domain.errors import DeliveryError

if TYPE_CHECKING:
    from collections.abc import Sequence

_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Where and how mail is handed over; `security` `none` sends in clear, without a password."""

    host: str
    port: int
    security: Literal["starttls", "tls", "none"]
    user: str | None
    password: str | None
    sender: str


class SmtpMailer:
    """Implements `ports.mailer.Mailer`."""

    def __init__(self, server: SmtpServer) -> None:
        self._server = server

    async def send(
        self, recipients: Sequence[str], subject: str, text: str, *, message_id: str
    ) -> list[str]:
        """Send a plain-text message and return the recipients that the server refused.

        Raises `DeliveryError` unless one recipient at least was accepted.
        """
        message = EmailMessage()
        message["From"] = self._server.sender
        message["To"] = ", ".join(recipients)
        message["Subject"] = subject
        domain = parseaddr(self._server.sender)[1].rpartition("@")[2]
        message["Message-ID"] = f"<{message_id}@{domain}>"
        message.set_content(text)
        try:
            return await asyncio.to_thread(self._send, message, list(recipients))
        except (smtplib.SMTPException, OSError) as error:
            # What a server says may repeat addresses or the password prompt; the class is enough.
            cause = type(error).__name__
            code = getattr(error, "smtp_code", None)
            text = f"the mail server refused or failed: {cause}" + (f" ({code})" if code else "")
            raise DeliveryError(text) from error

    def _send(self, message: EmailMessage, recipients: list[str]) -> list[str]:
        connection = self._connect()
        try:
            if self._server.security == "starttls":
                # A server without STARTTLS raises here: the password never goes in clear.
                connection.starttls(context=ssl.create_default_context())
            if self._server.user:
                connection.login(self._server.user, self._server.password or "")
            return list(connection.send_message(message, to_addrs=recipients))
        finally:
            # What was accepted stays accepted; a bad farewell must not have it sent again.
            with suppress(smtplib.SMTPException, OSError):
                connection.quit()
            connection.close()

    def _connect(self) -> smtplib.SMTP:
        server = self._server
        if server.security == "tls":
            return smtplib.SMTP_SSL(
                server.host,
                server.port,
                timeout=_TIMEOUT_S,
                context=ssl.create_default_context(),
            )
        return smtplib.SMTP(server.host, server.port, timeout=_TIMEOUT_S)
