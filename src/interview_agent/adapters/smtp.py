"""Mail by SMTP, from a thread of its own so that a slow server blocks nothing."""

from __future__ import annotations

import asyncio
import smtplib
import socket
import ssl
import threading
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import parseaddr
from typing import TYPE_CHECKING, Literal

from interview_agent.domain.errors import DeliveryError

if TYPE_CHECKING:
    from collections.abc import Sequence

_DEADLINE_S = 20.0  # below the default of SHUTDOWN_GRACE_SEC


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
    """Implements `ports.mailer.Mailer`; a letter that takes over `deadline_s` has failed."""

    def __init__(self, server: SmtpServer, *, deadline_s: float = _DEADLINE_S) -> None:
        self._server = server
        self._deadline_s = deadline_s

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
        handover = _Handover(self._server, message, list(recipients), self._deadline_s)
        outcome = asyncio.wrap_future(handover.outcome)
        try:
            await asyncio.wait([outcome], timeout=self._deadline_s)
            if not outcome.done():
                text = f"the mail server did not take the letter within {self._deadline_s:g} s"
                raise DeliveryError(text)
            return outcome.result()
        except (smtplib.SMTPException, OSError) as error:
            # What a server says may repeat addresses or the password prompt; the class is enough.
            cause = type(error).__name__
            code = getattr(error, "smtp_code", None)
            text = f"the mail server refused or failed: {cause}" + (f" ({code})" if code else "")
            raise DeliveryError(text) from error
        finally:
            outcome.cancel()
            handover.abandon()


class _Handover:
    """One letter on its way, in a daemon thread: a slow server keeps no process from its end."""

    def __init__(
        self, server: SmtpServer, message: EmailMessage, recipients: list[str], timeout_s: float
    ) -> None:
        self._server = server
        self._message = message
        self._recipients = recipients
        self._timeout_s = timeout_s
        self._connection: smtplib.SMTP | None = None
        self._abandoned = False
        self.outcome = Future[list[str]]()
        # A future that runs cannot be cancelled under the thread that will set its result.
        self.outcome.set_running_or_notify_cancel()
        threading.Thread(target=self._run, name="mail", daemon=True).start()

    def abandon(self) -> None:
        """Break the connection off, so that a letter that failed is not delivered later."""
        self._abandoned = True
        used = self._connection.sock if self._connection else None
        if used is not None:
            # The method of a TLS socket would first turn encryption off under the other thread.
            with suppress(OSError):
                socket.socket.shutdown(used, socket.SHUT_RDWR)

    def _run(self) -> None:
        try:
            refused = self._send()
        except BaseException as error:  # noqa: BLE001 - whoever waits gets it
            self.outcome.set_exception(error)
        else:
            self.outcome.set_result(refused)

    def _send(self) -> list[str]:
        self._connection = connection = self._connect()
        try:
            if self._server.security == "starttls":
                # A server without STARTTLS raises here: the password never goes in clear.
                connection.starttls(context=ssl.create_default_context())
            if self._server.user:
                connection.login(self._server.user, self._server.password or "")
            if self._abandoned:
                raise TimeoutError
            return list(connection.send_message(self._message, to_addrs=self._recipients))
        finally:
            # What was accepted stays accepted: a bad or late answer to the farewell, which nobody
            # waits for, must not have the letter sent again.
            with suppress(smtplib.SMTPException, OSError):
                connection.putcmd("quit")
            connection.close()

    def _connect(self) -> smtplib.SMTP:
        server = self._server
        if server.security == "tls":
            return smtplib.SMTP_SSL(
                server.host,
                server.port,
                timeout=self._timeout_s,
                context=ssl.create_default_context(),
            )
        return smtplib.SMTP(server.host, server.port, timeout=self._timeout_s)
