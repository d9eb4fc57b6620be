"""Which gateway the settings make."""

from __future__ import annotations

import base64
import socket
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from interview_agent.adapters.sberjazz import GatewayAddress, GatewayCalls
from interview_agent.compose.connector import open_connector
from interview_agent.domain.errors import StartupError
from interview_agent.ports.connector import JoinOrder
from interview_agent.settings import SettingsError, read_settings

GATEWAY = {
    "MEETING_CONNECTOR_PROVIDER": "sberjazz",
    "SBERJAZZ_API_BASE": "https://gateway.example/jazz/",
    "SBERJAZZ_API_TOKEN": "t0ken",
}
MOCK = {"MEETING_CONNECTOR_PROVIDER": "sberjazz_mock"}
SPEECH = Path(__file__).resolve().parents[2] / "data" / "libri_2412_0.wav"


async def test_none_makes_none() -> None:
    async with AsyncExitStack() as stack:
        nothing = {"MEETING_CONNECTOR_PROVIDER": "none"}
        assert open_connector(read_settings(nothing), stack) is None
        assert open_connector(read_settings(GATEWAY | {"SBERJAZZ_API_BASE": ""}), stack) is None


async def test_the_gateway_is_known_by_its_address() -> None:
    async with AsyncExitStack() as stack:
        connector = open_connector(read_settings(GATEWAY), stack)
        assert connector is not None
        assert (connector.provider, connector.gateway) == (
            "sberjazz",
            "https://gateway.example/jazz",
        )


@pytest.mark.parametrize(
    "base", ["gateway.example", "https://u:p@gateway.example", "ftp://gateway", "https://g/?a=1"]
)
def test_an_address_that_is_none_stops_the_start(base: str) -> None:
    with pytest.raises(SettingsError, match="SBERJAZZ_API_BASE"):
        read_settings(GATEWAY | {"SBERJAZZ_API_BASE": base})


@pytest.mark.parametrize("statuses", ["200", "abc", "429,700"])
def test_statuses_that_are_no_errors_stop_the_start(statuses: str) -> None:
    with pytest.raises(SettingsError, match="SBERJAZZ_HTTP_RETRY_STATUSES"):
        read_settings({"SBERJAZZ_HTTP_RETRY_STATUSES": statuses})


async def test_authorities_that_cannot_be_read_stop_the_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="SBERJAZZ_CA_BUNDLE"):
        read_settings(GATEWAY | {"SBERJAZZ_CA_BUNDLE": str(tmp_path / "absent.pem")})
    bundle = tmp_path / "bundle.pem"
    bundle.write_text("no certificate")
    settings = read_settings(GATEWAY | {"SBERJAZZ_CA_BUNDLE": str(bundle)})
    async with AsyncExitStack() as stack:
        with pytest.raises(StartupError, match="SBERJAZZ_CA_BUNDLE"):
            open_connector(settings, stack)


@pytest.mark.parametrize(("forced", "family"), [(True, socket.AF_INET), (False, socket.AF_UNSPEC)])
async def test_ipv4_is_forced_on_this_client_alone(forced: bool, family: int) -> None:
    calls = GatewayCalls(GatewayAddress("http://gateway.example", force_ipv4=forced))
    try:
        assert calls._session.connector is not None
        assert calls._session.connector.family == family
    finally:
        await calls.aclose()


async def test_no_proxy_or_password_is_taken_from_the_environment() -> None:
    calls = GatewayCalls(GatewayAddress("http://gateway.example"))
    try:
        assert not calls._session.trust_env
    finally:
        await calls.aclose()


async def test_the_mock_speaks_by_name() -> None:
    paths = {"SBERJAZZ_MOCK_AUDIO_PATHS": f"Анна={SPEECH}, {SPEECH}"}
    async with AsyncExitStack() as stack:
        connector = open_connector(read_settings(MOCK | paths), stack)
        assert connector is not None
        joined = await connector.join(JoinOrder("m1", "k"), deadline_s=1)
        assert [each.name for each in joined.participants] == ["Анна", "MockUser"]


async def test_the_mock_has_one_chunk_where_it_is_given() -> None:
    chunk = base64.b64encode(b"some sound").decode()
    async with AsyncExitStack() as stack:
        settings = read_settings(MOCK | {"SBERJAZZ_MOCK_LIVE_CHUNKS_B64": chunk})
        connector = open_connector(settings, stack)
        assert connector is not None
        await connector.join(JoinOrder("m1", "k"), deadline_s=1)
        page = await connector.live_chunks("m1", None, limit=20, deadline_s=1)
        (heard,) = page.chunks
        assert (heard.chunk_id, heard.seq, heard.body) == ("m1:mock-live:1", 1, b"some sound")
        assert page.next_cursor == "mock-live-1"
        after = await connector.live_chunks("m1", page.next_cursor, limit=20, deadline_s=1)
        assert (list(after.chunks), after.next_cursor) == ([], "mock-live-1")


async def test_a_mock_without_sound_is_a_silent_room() -> None:
    async with AsyncExitStack() as stack:
        connector = open_connector(read_settings(MOCK), stack)
        assert connector is not None
        joined = await connector.join(JoinOrder("m1", "k"), deadline_s=1)
        assert [each.name for each in joined.participants] == ["MockUser"]
        page = await connector.live_chunks("m1", None, limit=20, deadline_s=1)
        assert (list(page.chunks), page.next_cursor) == ([], None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SBERJAZZ_MOCK_AUDIO_PATHS", "absent.wav"),
        ("SBERJAZZ_MOCK_AUDIO_PATHS", f"Anna={__file__}"),
        ("SBERJAZZ_MOCK_LIVE_CHUNKS_B64", "%%%"),
    ],
)
async def test_sound_of_the_mock_that_cannot_be_read_stops_the_start(name: str, value: str) -> None:
    async with AsyncExitStack() as stack:
        with pytest.raises(StartupError, match=name):
            open_connector(read_settings(MOCK | {name: value}), stack)
