"""A gateway behind TLS is reached only with a certificate of somebody who is trusted."""

from __future__ import annotations

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fake_sberjazz import FakeGateway, serve
from interview_agent.adapters.sberjazz import (
    GatewayAddress,
    GatewayCalls,
    Retries,
    RetryRules,
    SberjazzGateway,
)
from interview_agent.domain.errors import ConnectorUnavailable

if TYPE_CHECKING:
    from pathlib import Path


def signed_by_itself(folder: Path) -> tuple[Path, Path]:
    """Make a certificate for 127.0.0.1; return the files of it and of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gateway")])
    now = datetime.now(UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / "gateway.pem", folder / "gateway.key"
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate_file, key_file


async def test_only_the_authorities_of_the_bundle_are_trusted(tmp_path: Path) -> None:
    certificate, key = signed_by_itself(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    async with serve(FakeGateway(), tls=tls) as fake:
        for bundle in (None, certificate):
            calls = GatewayCalls(GatewayAddress(fake.address, ca_bundle=bundle))
            connector = SberjazzGateway(calls, Retries(calls.send, RetryRules(backoff_s=0.0)))
            try:
                if bundle is None:
                    with pytest.raises(ConnectorUnavailable):
                        await connector.health(deadline_s=10)
                else:
                    assert (await connector.health(deadline_s=10)).healthy
            finally:
                await connector.aclose()
    assert len(fake.journal) == 1
