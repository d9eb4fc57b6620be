"""Every setting, declared once; the only place that reads the environment."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from dotenv import dotenv_values
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

RELAXED_ENVIRONMENTS = ("dev", "local", "test")
"""Anything else is treated as production."""


_PLAIN_URL = re.compile(r"https?://[^/\s?#@]+(/[^\s?#@]*)?\Z")
_ALGORITHM = re.compile(r"(RS|ES|HS)(256|384|512)\Z")
_ORIGIN = re.compile(r"(https?://[^/\s?#@*]+|\*)\Z")


class SettingsError(ValueError):
    """The configuration cannot be used; the text names every setting at fault, never its value."""


def _split_words(text: str) -> tuple[str, ...]:
    return tuple(part for part in (item.strip() for item in text.split(",")) if part)


def _split(value: object) -> object:
    return _split_words(value) if isinstance(value, str) else value


def _split_secrets(value: object) -> object:
    parts = _split(value)
    return tuple(SecretStr(part) for part in parts) if isinstance(parts, tuple) else parts


def _exact_origins(origins: tuple[str, ...]) -> tuple[str, ...]:
    exact = tuple(origin.lower().removesuffix("/") for origin in origins)
    if not all(_ORIGIN.match(origin) for origin in exact):
        message = "each must be an origin such as https://app.example.com, or `*`"
        raise ValueError(message)
    return exact


def _one_family(algorithms: tuple[str, ...]) -> tuple[str, ...]:
    if not algorithms or not all(_ALGORITHM.match(name) for name in algorithms):
        message = (
            "each must be one of RS256, RS384, RS512, ES256, ES384, ES512, HS256, HS384, HS512"
        )
        raise ValueError(message)
    # With both, a public key can be taken for a secret that everybody knows.
    if len({name.startswith("HS") for name in algorithms}) > 1:
        message = "algorithms of secrets (HS…) and of public keys must not be mixed"
        raise ValueError(message)
    return algorithms


def _plain_url(url: str) -> str:
    if not _PLAIN_URL.match(url):
        message = "must be an http or https address without user, query or fragment"
        raise ValueError(message)
    return url


def _networks(networks: tuple[str, ...]) -> tuple[str, ...]:
    try:
        return tuple(str(ipaddress.ip_network(each, strict=False)) for each in networks)
    except ValueError:
        message = "each must be an address or a network such as 10.0.0.0/8"
        raise ValueError(message) from None


def _plain_dsn(value: object) -> object:
    if isinstance(value, str):
        scheme, separator, rest = value.partition("://")
        return scheme.partition("+")[0] + separator + rest
    return value


Csv = Annotated[tuple[str, ...], BeforeValidator(_split)]
Origins = Annotated[tuple[str, ...], BeforeValidator(_split), AfterValidator(_exact_origins)]
Networks = Annotated[tuple[str, ...], BeforeValidator(_split), AfterValidator(_networks)]
Secrets = Annotated[tuple[SecretStr, ...], BeforeValidator(_split_secrets)]
Algorithms = Annotated[tuple[str, ...], BeforeValidator(_split), AfterValidator(_one_family)]
Url = Annotated[str, AfterValidator(_plain_url)]
Dsn = Annotated[SecretStr, BeforeValidator(_plain_dsn)]


class Settings(BaseModel):
    """The configuration of one process."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    _files: dict[str, Path] = PrivateAttr(default_factory=dict)

    app_env: str = Field(
        "dev", description="`dev`, `local` or `test`; anything else is treated as production."
    )
    data_dir: Path = Field(
        Path("data"), description="Folder of everything that this process keeps by itself."
    )
    readiness_fail_fast_in_prod: bool = Field(
        True,
        description="In production, end at once when a readiness check finds an error; `false` only"
        " reports it.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Least severity that is logged."
    )
    log_format: Literal["json", "text"] = Field(
        "json", description="`json`: one object a line; `text`: for people."
    )

    api_host: str = Field("127.0.0.1", description="Address that the API listens on.")
    api_port: int = Field(
        8010, ge=0, le=65535, description="Port of the API; 0 takes a free one, which is logged."
    )
    metrics_port: int = Field(
        8011,
        ge=0,
        le=65535,
        description="Port of `/health`, `/ready` and `/metrics` of a process without the api role;"
        " 0 takes a free one, which is logged.",
    )
    auth_mode: Literal["none", "api_key", "jwt"] = Field(
        "api_key",
        description="`api_key`: `X-API-Key` is required; `jwt`: a bearer token is; `none`: outside"
        " prod only.",
    )
    api_keys: Secrets = Field(
        (),
        description="Keys of users, comma-separated: `[tenant:]key` or `[tenant:]sha256$<hex>`."
        " Empty outside prod: a random key is made and kept in `DATA_DIR/api_key`.",
    )
    service_api_keys: Secrets = Field(
        (), description="Keys of services, in the same form; they see every meeting, unmasked."
    )
    allow_service_api_key_in_jwt_mode: bool = Field(
        True,
        description="With `AUTH_MODE=jwt`: take service keys too, where no token is given; never in"
        " prod.",
    )
    oidc_issuer_url: Url | None = Field(
        None,
        description="Who issues the tokens, exactly as their `iss` says; compulsory in prod. The"
        " keys are found by its discovery document.",
    )
    oidc_jwks_url: Url | None = Field(
        None, description="Where the keys of the issuer lie; unset: asked of the issuer."
    )
    oidc_audience: str | None = Field(
        None, description="What the `aud` of a token must name; compulsory in prod."
    )
    oidc_algorithms: Algorithms = Field(
        ("RS256",),
        description="Algorithms of signatures that are taken, comma-separated: `RS…` and `ES…`, or"
        " `HS…` with JWT_SHARED_SECRET.",
    )
    oidc_token_typ: str | None = Field(
        None, description="What the `typ` of a token must say, such as `at+jwt`; unset: anything."
    )
    oidc_discovery_timeout_sec: float = Field(
        5.0, gt=0, le=60, description="Longest time that fetching the keys may take, in seconds."
    )
    jwt_shared_secret: SecretStr | None = Field(
        None, description="Secret of `HS…` tokens, for development; refused in prod."
    )
    jwt_clock_skew_sec: int = Field(
        30, ge=0, le=300, description="Difference of clocks that is forgiven, in seconds."
    )
    jwt_max_lifetime_sec: int = Field(
        86_400, ge=60, description="Longest time that a token may be issued for, in seconds."
    )
    jwt_service_claim_key: str = Field(
        "token_type", description="Claim that makes a token a service's, as a dotted path."
    )
    jwt_service_claim_values: Csv = Field(
        ("service", "client_credentials", "m2m"), description="Its values that do."
    )
    jwt_service_role_claim: str = Field(
        "roles",
        description="Claim with roles, as a dotted path such as `realm_access.roles`.",
    )
    jwt_service_allowed_roles: Csv = Field(
        ("service", "admin"), description="Roles that make a token a service's."
    )
    jwt_service_trusted_clients: Csv = Field(
        (),
        description="Clients (`azp`, else `client_id`) whose tokens may be services'; unset: all.",
    )
    jwt_service_permission_claim: str = Field(
        "scope", description="Claim with the scopes of a service token, as a dotted path."
    )
    jwt_service_required_scopes_admin_read: Csv = Field(
        ("agent.admin.read", "agent.admin"),
        description="Scopes of which a service token needs one to read anything.",
    )
    jwt_service_required_scopes_admin_write: Csv = Field(
        ("agent.admin.write", "agent.admin"),
        description="Scopes of which a service token needs one to change anything.",
    )
    jwt_service_required_scopes_ws_internal: Csv = Field(
        ("agent.ws.internal", "agent.admin"),
        description="Scopes of which a service token needs one to open `/v1/ws/internal`.",
    )
    jwt_service_required_scopes_ingest_internal: Csv = Field(
        ("agent.ingest", "agent.admin"),
        description="Scopes of which a service token needs one to send chunks of any meeting.",
    )
    tenant_enforcement_enabled: bool = Field(
        False, description="Refuse users whose token or key names no tenant."
    )
    tenant_claim_key: str = Field(
        "tenant_id",
        description="Claim that names the tenant, as a dotted path; its value is one name of the"
        " form that meetings have.",
    )
    tenant_context_key: str = Field(
        "tenant_id", description="Name of the tenant in the context of a meeting."
    )
    security_audit_db_enabled: bool = Field(
        True,
        description="Keep a row of each refusal and each admin or service action; `false`: the log"
        " alone.",
    )

    auth_require_jwt_in_prod: bool = Field(
        True,
        description="In production, take every `AUTH_MODE` but `jwt` for an error"
        " (`auth_mode_must_be_jwt_in_prod`).",
    )

    cors_allowed_origins: Origins = Field(
        (),
        description="Origins of pages that may use this service, comma-separated, exact, such as"
        " `https://app.example.com`. Our own origin and loopback always may; `*`: all.",
    )
    cors_allow_credentials: bool = Field(
        True, description="Let those pages send cookies and TLS certificates along; never with `*`."
    )
    trusted_proxies: Networks = Field(
        (),
        description="Addresses or networks of reverse proxies, comma-separated, whose"
        " `X-Forwarded-For` and `X-Forwarded-Proto` are believed.",
    )
    ws_max_sockets: int = Field(
        1000, ge=1, description="Most WebSockets that are open at once; past it the answer is 503."
    )
    max_held_per_caller: int = Field(
        600,
        ge=1,
        description="Most WebSockets and event streams that one identity, or one address, holds"
        " open at once; past it the answer is 429.",
    )
    max_connections_per_address: int = Field(
        1000,
        ge=1,
        description="Most connections of one address, trusted proxies aside; past it each is"
        " answered 429 and closed.",
    )
    rate_limit_per_caller: float = Field(
        1000.0,
        gt=0,
        description="Requests a second that one identity, or one address, may make in the long run;"
        " twice as many in a burst. Past it the answer is 429.",
    )
    meetings_max_per_hour: int = Field(
        2_000,
        ge=1,
        description="Meetings that one tenant, or one caller without a tenant, may open in an hour;"
        " past it the answer is 429.",
    )
    bad_credentials_per_minute: float = Field(
        100.0,
        gt=0,
        description="Wrong keys and tokens that one address may show a minute; past it every"
        " credential from there is answered 429.",
    )

    postgres_dsn: Dsn | None = Field(
        None, description="Address of PostgreSQL; unset outside prod: an embedded one is started."
    )
    postgres_pool_size: int = Field(
        10, ge=2, le=200, description="Most connections that this process opens to PostgreSQL."
    )
    redis_url: SecretStr | None = Field(
        None, description="Address of Redis or Valkey; unset outside prod: an embedded one."
    )
    run_migrations: bool = Field(
        True, description="Apply missing migrations at start, under a lock."
    )
    queue_max_waiting: int = Field(
        10_000, ge=100, description="Most wake-ups that a stream holds; older ones are dropped."
    )

    storage_mode: Literal["local_fs", "shared_fs"] = Field(
        "local_fs", description="Where audio lies: a local folder or one shared by all processes."
    )
    chunks_dir: Path | None = Field(
        None, description="Folder of the audio; default `DATA_DIR/chunks`."
    )
    storage_shared_fs_dir: Path | None = Field(
        None, description="Folder of the audio in `shared_fs` mode; default `CHUNKS_DIR`."
    )
    storage_require_shared_in_prod: bool = Field(
        True,
        description="In production, take `STORAGE_MODE=local_fs` for an error"
        " (`storage_not_shared_fs`).",
    )

    chunk_max_bytes: int = Field(
        16 * 2**20, ge=1024, description="Largest chunk, decoded from base64, in bytes."
    )
    recording_max_bytes: int = Field(2 * 2**30, ge=1024, description="Largest recording, in bytes.")
    ingest_max_inflight_bytes: int = Field(
        256 * 2**20,
        ge=2**20,
        description="Bytes of request bodies in memory at once; past it the answer is 503.",
    )
    backlog_max_chunks: int = Field(
        50_000,
        ge=1,
        description="Chunks of one tenant that may wait to be heard, live tracks aside; past it"
        " new audio is answered 429.",
    )
    body_timeout_sec: float = Field(
        30.0, gt=0, description="Longest silence while a request body arrives, in seconds."
    )

    live_max_tracks: int = Field(
        64, ge=1, le=1024, description="Live tracks that a worker holds at once."
    )
    live_max_streams: int = Field(
        0,
        ge=0,
        le=10_000,
        description="Live streams that a worker says it can caption; 0: as many as it measures."
        " Past the sum of all workers new sessions are turned away.",
    )
    live_chunk_ms: int = Field(
        250,
        ge=20,
        le=5_000,
        description="Live audio is made durable in chunks of this length, in ms.",
    )
    live_max_frame_bytes: int = Field(
        2**20, ge=1024, le=16 * 2**20, description="Largest frame of live audio, header included."
    )
    live_max_in_flight: int = Field(
        256, ge=1, description="Frames of one live session that may wait for their ack."
    )
    live_max_unacked_bytes: int = Field(
        2**20, ge=1024, description="Bytes of one live session that may wait for their ack."
    )

    pii_masking: bool = Field(
        True, description="Mask personal data in every text that a user identity gets."
    )
    retention_days_audio: int = Field(14, ge=1, description="Days after which audio is deleted.")
    retention_days_text: int = Field(90, ge=1, description="Days after which texts are deleted.")
    retention_days_audit: int = Field(
        365, ge=1, description="Days after which rows of the audit trail are deleted."
    )
    meeting_quiet_sec: float = Field(
        8.0, gt=0, description="Seconds without a chunk after which a transcript is closed."
    )

    feed_max_listeners: int = Field(
        2_000, ge=1, description="Most listeners that this process keeps up to date at once."
    )

    stt_provider: Literal["whisper_local", "mock"] = Field(
        "whisper_local", description="`mock` returns a fixed text for a chunk, for integration."
    )
    whisper_model_size: str = Field(
        "base", description="Name of a faster-whisper model, or a folder that holds one."
    )
    whisper_device: str = Field("cpu", description="`cpu`, `cuda` or `auto`.")
    whisper_compute_type: str = Field(
        "int8", description="CTranslate2 compute type, such as `int8`, `float16`, `float32`."
    )
    whisper_language: str = Field(
        "ru", description="Language of meetings that do not name one; `auto` detects it."
    )
    whisper_beam_size: int = Field(1, ge=1, le=10, description="Beams of the decoder; 1 = greedy.")
    whisper_vad_filter: bool = Field(
        True, description="Transcribe only what the voice activity detector takes for speech."
    )
    whisper_threads: int = Field(
        2, ge=1, le=64, description="Transcriptions that run at once, one thread each."
    )
    decode_max_sec: float = Field(
        21_600.0, gt=0, description="Longest audio that one stream may decode to, in seconds."
    )
    decode_max_children: int = Field(
        64, ge=2, le=1024, description="Streams that are decoded at once, a process each."
    )

    delivery_provider: Literal["email"] = Field("email", description="How reports are delivered.")
    smtp_host: str | None = Field(
        None, description="Mail server; unset: delivery is recorded as skipped."
    )
    smtp_port: int = Field(587, ge=1, le=65535, description="Port of the mail server.")
    smtp_user: str | None = Field(None, description="User at the mail server.")
    smtp_pass: SecretStr | None = Field(None, description="Password at the mail server.")
    smtp_security: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="`none` sends in clear and is refused together with SMTP_USER."
    )
    email_from: str = Field("interview-agent@localhost", description="Sender of the reports.")

    meeting_connector_provider: Literal["none", "sberjazz", "sberjazz_mock"] = Field(
        "none",
        description="Where bots join meetings. This release joins none: the others are only checked"
        " by readiness.",
    )
    sberjazz_api_base: str | None = Field(
        None, description="Address of the SberJazz gateway; only checked by readiness as yet."
    )
    sberjazz_api_token: SecretStr | None = Field(
        None, description="Token for the SberJazz gateway; not used yet."
    )

    shutdown_grace_sec: float = Field(
        25.0, gt=0, description="Seconds that running work gets to end after SIGTERM."
    )

    def file_of(self, name: str) -> Path | None:
        """Return the file that the value of a setting was read from, None where none was."""
        return self._files.get(name)

    @property
    def is_prod(self) -> bool:
        """Whether this process must be safe: the environment is not explicitly relaxed."""
        return self.app_env not in RELAXED_ENVIRONMENTS

    @property
    def embedded_postgres(self) -> bool:
        """Whether PostgreSQL is a child of this process."""
        return self.postgres_dsn is None and not self.is_prod

    @property
    def embedded_redis(self) -> bool:
        """Whether Valkey is a child of this process."""
        return self.redis_url is None and not self.is_prod

    @property
    def blob_dir(self) -> Path:
        """The folder of the audio."""
        local = self.chunks_dir or self.data_dir / "chunks"
        if self.storage_mode == "shared_fs":
            return self.storage_shared_fs_dir or local
        return local


def _from_file(name: str, path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        message = f"{name}_FILE names a file that cannot be read: {reason}"
        raise SettingsError(message) from None
    except ValueError:
        message = f"{name}_FILE names a file that is not UTF-8 text"
        raise SettingsError(message) from None
    return ",".join(line.strip() for line in text.splitlines() if line.strip())


def reread_secrets(name: str, path: Path) -> tuple[str, ...]:
    """Return what the file of a list of secrets holds now. Raises `SettingsError`."""
    return _split_words(_from_file(name, path))


def _from_dotenv(file: Path) -> dict[str, str | None]:
    try:
        # Values are taken as they stand: a password may hold what looks like a reference.
        return dotenv_values(file, interpolate=False)
    except ValueError:
        message = f"{file} is not UTF-8 text"
        raise SettingsError(message) from None


def read_settings(environ: Mapping[str, str], dotenv_file: Path | None = None) -> Settings:
    """Build the settings from variables; what `dotenv_file` says comes second.

    An empty variable is an unset one, and `<NAME>_FILE` names a file that holds the value (lines
    become a comma-separated list). Raises `SettingsError` naming each variable at fault.
    """
    given: dict[str, str | None] = {}
    if dotenv_file is not None and dotenv_file.is_file():
        given |= _from_dotenv(dotenv_file)
    given |= {name: value for name, value in environ.items() if value.strip()}
    values: dict[str, Any] = {}
    files: dict[str, Path] = {}
    for field in Settings.model_fields:
        name = field.upper()
        value = (given.get(name) or "").strip()
        if path := (given.get(f"{name}_FILE") or "").strip():
            files[name] = Path(path)
            value = _from_file(name, files[name])
        if value:
            values[field] = value
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        faults = "; ".join(
            f"{str(fault['loc'][0]).upper()}: {fault['msg']}" for fault in error.errors()
        )
        raise SettingsError(faults) from None
    settings._files.update(files)  # noqa: SLF001 - this is their constructor
    return settings
