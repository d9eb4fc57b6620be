"""The report by e-mail: a real SMTP exchange, a real database."""

from __future__ import annotations

import asyncio
import datetime as dt
import ssl
import sys
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from aiosmtpd.smtp import SMTP, AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from interview_agent.adapters.postgres import (
    Database,
    PostgresArchive,
    PostgresIntake,
    PostgresStageRecords,
    PostgresWorkStore,
)
from interview_agent.adapters.smtp import SmtpMailer, SmtpServer
from interview_agent.domain.errors import DeliveryError
from interview_agent.domain.meeting import StageState
from interview_agent.domain.route import Stage
from interview_agent.domain.transcript import DraftSegment
from interview_agent.metrics import Metrics
from interview_agent.pipeline.analytics import AnalyticsStage
from interview_agent.pipeline.delivery import DeliveryStage
from interview_agent.ports.intake import NewMeeting
from interview_agent.ports.transcriber import TrackProgress
from interview_agent.runtime.loop import LoopTimes, StageLoop
from local_broadcast import LocalBroadcast
from work_bench import chunk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from email.message import EmailMessage
    from pathlib import Path

    from interview_agent.ports.archive import MeetingView
    from interview_agent.ports.work import Claim

SAID = (
    "Для связи по новому проекту мой рабочий номер 8 916.",
    "123-45-67, звоните вечером после работы над проектом.",
    "А почта для документов по проекту a@b.ru, пишите туда подробно.",
)


@dataclass
class Post:
    """A mail server's memory: what came, who was refused, who tried to log in."""

    messages: list[EmailMessage] = field(default_factory=list)
    envelopes: list[list[str]] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    logins: list[object] = field(default_factory=list)
    farewell: str = "221 Bye"
    port: int = 0

    async def handle_RCPT(self, *given: Any) -> str:  # noqa: N802 - the server's name for it
        """Refuse or accept a recipient."""
        _, _, envelope, address, _ = given
        if address in self.refused:
            return "550 nobody of that name"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, *given: Any) -> str:  # noqa: N802 - the server's name for it
        """Keep a message."""
        content = given[2].content
        self.messages.append(message_from_bytes(content, policy=policy.default))
        self.envelopes.append(list(given[2].rcpt_tos))
        return "250 OK"

    async def handle_QUIT(self, *_: Any) -> str:  # noqa: N802 - the server's name for it
        """Say goodbye, well or badly."""
        return self.farewell

    def authenticate(self, *given: Any) -> AuthResult:
        """Note that somebody gave a password."""
        self.logins.append(given[-1])
        return AuthResult(success=True)

    async def open(self, **options: Any) -> asyncio.Server:
        """Listen on a free port."""
        server = await asyncio.get_running_loop().create_server(
            lambda: SMTP(
                self,
                authenticator=self.authenticate,
                auth_require_tls=False,
                enable_SMTPUTF8=True,
                **options,
            ),
            "127.0.0.1",
            0,
        )
        self.port = port_of(server)
        return server


def mailer(
    port: int,
    security: Any = "none",
    password: str | None = None,
    sender: str = "agent@example.com",
) -> SmtpMailer:
    user = "agent" if password else None
    return SmtpMailer(SmtpServer("127.0.0.1", port, security, user, password, sender))


class NoWakes:
    """A wake queue that carries nothing: loops live by polling."""

    def notify(self, stage: Stage, meeting_id: str, track: str = "") -> None:
        """Forget it."""

    def bury(self, stage: Stage, meeting_id: str, track: str, reason: str) -> None:
        """Forget it."""

    async def wait(self, stage: Stage, timeout_s: float) -> bool:
        """Return after the time."""
        assert stage is Stage.DELIVERY
        await asyncio.sleep(timeout_s)
        return False


class Office:
    """A database with a meeting that waits for its delivery."""

    def __init__(self, database: Database) -> None:
        self.intake = PostgresIntake(database)
        self.work = PostgresWorkStore(database)
        self.records = PostgresStageRecords(database)
        self._archive = PostgresArchive(database)

    async def claim(self, stage: Stage) -> Claim:
        claim = await self.work.claim(stage, "test", 60.0)
        assert claim is not None
        return claim

    async def report(self, seq: int = 0, spoken: str = "ru", **meeting: Any) -> None:
        """Bring a meeting to where a new version of its report is there."""
        await self.intake.start(NewMeeting("m1", "subject:a", **meeting))
        await self.intake.accept(chunk(seq))
        await self.intake.finish("m1", {})
        stt = await self.claim(Stage.STT)
        segments = tuple(
            DraftSegment(text, at * 2.0, at * 2.0 + 2, language=spoken)
            for at, text in enumerate(SAID)
        )
        await self.records.commit_progress(stt, TrackProgress(0, segments, {}, seq, 6.0))
        await self.work.complete(stt)
        await self.work.complete(await self.claim(Stage.ENHANCER))
        analytics = await self.claim(Stage.ANALYTICS)
        await AnalyticsStage(self.records, LocalBroadcast(), language="ru").run(
            analytics, lambda: None
        )
        await self.work.complete(analytics)

    async def deliver(self, stage: DeliveryStage) -> None:
        claim = await self.claim(Stage.DELIVERY)
        await stage.run(claim, lambda: None)
        await self.work.complete(claim)

    async def view(self) -> MeetingView:
        return await self._archive.meeting("m1")

    async def states(self) -> list[tuple[int, str, str | None]]:
        deliveries = (await self.view()).deliveries
        return [(each.report_version, each.state, each.reason) for each in deliveries]


@pytest.fixture
def office(database: Database) -> Office:
    return Office(database)


@pytest_asyncio.fixture
async def post() -> AsyncIterator[Post]:
    """A mail server that takes everything in clear."""
    made = Post()
    server = await made.open()
    yield made
    server.close()
    await server.wait_closed()


async def test_a_report_is_sent_once_per_version_masked_and_to_everybody(
    office: Office, post: Post
) -> None:
    in_context = {"recipients": ["b@example.com", "a@example.com", 5, "x\r\nBcc: c@example.com"]}
    await office.report(recipients=("a@example.com",), context=in_context)
    stage = DeliveryStage(office.records, mailer(post.port), pii_masking=True)
    claim = await office.claim(Stage.DELIVERY)
    for _ in range(2):
        await stage.run(claim, lambda: None)
    await office.work.complete(claim)
    (message,) = post.messages
    assert post.envelopes == [["a@example.com", "b@example.com"]]
    assert "m1" in message["Subject"]
    assert message["Message-ID"] == "<report-m1-1@example.com>"
    text = message.get_content()
    assert "[PHONE]" in text
    assert "[EMAIL]" in text
    assert not any(half in text for half in ("916", "123-45", "a@b"))
    assert await office.states() == [(1, "sent", None)]
    await office.report(seq=1)
    await office.deliver(stage)
    assert [each["Message-ID"] for each in post.messages][1:] == ["<report-m1-2@example.com>"]
    assert await office.states() == [(1, "sent", None), (2, "sent", None)]


async def test_without_masking_the_letter_says_what_was_said(office: Office, post: Post) -> None:
    await office.report(recipients=("a@example.com",))
    await office.deliver(DeliveryStage(office.records, mailer(post.port), pii_masking=False))
    text = post.messages[0].get_content()
    assert all(half in text for half in ("8 916", "a@b.ru")), text


@pytest.mark.parametrize(
    ("named", "spoken", "subject", "heading"),
    [
        (None, "en", "Report on the meeting m1", "Interview report"),
        ("auto", "de", "Report on the meeting m1", "Interview report"),
        ("en", "ru", "Отчёт по встрече m1", "Отчёт об интервью"),
    ],
)
async def test_a_letter_is_in_the_language_of_its_report(
    office: Office, post: Post, named: str | None, spoken: str, subject: str, heading: str
) -> None:
    await office.report(spoken=spoken, recipients=("a@example.com",), language=named)
    await office.deliver(DeliveryStage(office.records, mailer(post.port), pii_masking=True))
    (message,) = post.messages
    assert message["Subject"] == subject
    assert message.get_content().startswith(heading)


@pytest.mark.parametrize(
    ("recipients", "configured", "reason"),
    [(("a@example.com",), False, "not_configured"), ((), True, "no_recipients")],
)
async def test_what_cannot_be_sent_is_skipped_with_its_reason(
    office: Office, post: Post, recipients: tuple[str, ...], configured: bool, reason: str
) -> None:
    await office.report(recipients=recipients)
    chosen = mailer(post.port) if configured else None
    await office.deliver(DeliveryStage(office.records, chosen, pii_masking=True))
    assert await office.states() == [(1, "skipped", reason)]
    assert post.messages == []


async def test_one_refused_recipient_costs_the_others_nothing_and_is_shown(
    office: Office, post: Post
) -> None:
    post.refused = {"gone@example.com"}
    await office.report(recipients=("a@example.com", "gone@example.com"))
    await office.deliver(DeliveryStage(office.records, mailer(post.port), pii_masking=True))
    assert post.envelopes == [["a@example.com"]]
    assert await office.states() == [(1, "sent", "refused: 1 of 2 recipients")]


async def test_an_accepted_letter_is_sent_whatever_the_server_says_to_the_farewell(
    post: Post,
) -> None:
    post.farewell = "451 not now"
    assert await mailer(post.port).send(["a@b"], "s", "t", message_id="1") == []
    assert len(post.messages) == 1


class Tarpit:
    """A mail server that answers every line at once until `stuck_at`, then a byte at a time."""

    def __init__(self, stuck_at: bytes) -> None:
        self._stuck_at = stuck_at
        self.left = asyncio.Event()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until the other side has gone."""
        line = b"connect"
        try:
            while line and not line.startswith(self._stuck_at):
                said = {b"connect": b"220 mx", b"data\r\n": b"354 go on"}.get(line, b"250 OK")
                writer.write(said + b"\r\n")
                letter = line.startswith(b"data")
                line = (await reader.readline()).lower()
                while letter and line not in (b"", b".\r\n"):
                    line = await reader.readline()
            while line:
                writer.write(b"2")
                await writer.drain()
                await asyncio.sleep(0.02)
        except ConnectionError:
            pass
        finally:
            writer.close()
            self.left.set()


@pytest.mark.parametrize("stuck_at", [b"ehlo", b"mail", b"data", b"."])
async def test_a_server_that_answers_for_ever_fails_the_letter_and_is_left(stuck_at: bytes) -> None:
    tarpit = Tarpit(stuck_at)
    server = await asyncio.start_server(tarpit.talk, "127.0.0.1", 0)
    slow = SmtpMailer(
        SmtpServer("127.0.0.1", port_of(server), "none", None, None, "agent@example.com"),
        deadline_s=0.5,
    )
    async with server, asyncio.timeout(10):
        with pytest.raises(DeliveryError, match=r"within 0\.5 s"):
            await slow.send(["a@b"], "s", "t", message_id="1")
        await tarpit.left.wait()


_SEND_AND_LEAVE = """
import asyncio, sys
from interview_agent.adapters.smtp import SmtpMailer, SmtpServer

mailer = SmtpMailer(SmtpServer("127.0.0.1", int(sys.argv[1]), "none", None, None, "a@b"))

async def main():
    sending = asyncio.create_task(mailer.send(["a@b"], "s", "t", message_id="1"))
    await asyncio.sleep(0.5)
    sending.cancel()

asyncio.run(main())
"""


async def test_a_process_ends_though_a_server_has_not_even_greeted_it() -> None:
    server = await asyncio.start_server(Tarpit(b"connect").talk, "127.0.0.1", 0)
    async with server:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _SEND_AND_LEAVE, str(port_of(server))
        )
        try:
            async with asyncio.timeout(15):
                assert await process.wait() == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


def port_of(server: asyncio.Server) -> int:
    port: int = server.sockets[0].getsockname()[1]
    return port


@pytest.mark.parametrize("sender", ["Agent <agent@example.com>", "agent@example.com (Agent)"])
async def test_a_sender_with_a_name_gives_a_well_formed_message_id(post: Post, sender: str) -> None:
    await mailer(post.port, sender=sender).send(["a@b"], "s", "t", message_id="1")
    (message,) = post.messages
    sent = dict(message.raw_items())
    assert sent["Message-ID"].strip() == "<1@example.com>"
    assert sent["From"].strip() == sender


async def test_a_refused_report_is_tried_again_visibly_and_the_meeting_stays_reported(
    office: Office, post: Post
) -> None:
    post.refused = {"a@example.com"}
    await office.report(recipients=("a@example.com",))
    loop = StageLoop(
        DeliveryStage(office.records, mailer(post.port), pii_masking=True),
        office.work,
        NoWakes(),
        Metrics("test"),
        owner="test",
        concurrency=1,
        jitter=lambda: 0.0,
        times=LoopTimes(poll_s=0.05),
    )
    running = asyncio.create_task(loop.run())

    async def until(check: Callable[[MeetingView], bool]) -> MeetingView:
        async with asyncio.timeout(15):
            while not check(view := await office.view()):
                await asyncio.sleep(0.02)
        return view

    refused = await until(lambda view: any(each.reason for each in view.stages))
    (waiting,) = [each for each in refused.stages if each.stage is Stage.DELIVERY]
    assert waiting.state is StageState.WAITING
    assert waiting.reason is not None
    assert "SMTPRecipientsRefused" in waiting.reason
    assert "a@example.com" not in waiting.reason
    assert [each.state for each in refused.deliveries] == ["pending"]
    assert refused.meeting.reported_version == refused.meeting.audio_version
    post.refused = set()
    await until(lambda view: [each.state for each in view.deliveries] == ["sent"])
    loop.stop()
    await running
    assert len(post.messages) == 1


async def test_a_delivery_given_up_on_is_shown_as_failed_and_retention_goes_on(
    office: Office,
) -> None:
    await office.report(recipients=("a@example.com",))
    claim = await office.claim(Stage.DELIVERY)
    stage = DeliveryStage(office.records, mailer(1), pii_masking=True)
    with pytest.raises(DeliveryError):
        await stage.run(claim, lambda: None)
    assert not await stage.give_up(claim, "delivery_provider_error: refused")
    assert await office.work.give_up(claim, "refused") == (Stage.RETENTION,)
    assert await office.states() == [(1, "failed", "delivery_provider_error: refused")]


async def test_a_server_without_starttls_never_gets_the_password(post: Post) -> None:
    with pytest.raises(DeliveryError, match="SMTPNotSupportedError"):
        await mailer(post.port, "starttls", "hunter2").send(["a@b"], "s", "t", message_id="1")
    assert post.logins == []
    assert post.messages == []


async def test_a_server_whose_certificate_nobody_trusts_never_gets_the_password(
    tmp_path: Path,
) -> None:
    post = Post()
    server = await post.open(tls_context=self_signed(tmp_path))
    with pytest.raises(DeliveryError, match="SSLCertVerificationError"):
        await mailer(post.port, "starttls", "hunter2").send(["a@b"], "s", "t", message_id="1")
    server.close()
    await server.wait_closed()
    assert post.logins == []
    assert post.messages == []


def self_signed(folder: Path) -> ssl.SSLContext:
    """Make a certificate that no authority has signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    file = folder / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    file.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file)
    return context
