"""Every finding there can be, declared once."""

from __future__ import annotations

from interview_agent.domain.readiness.issue import Finding

POSTGRES_DSN_EMPTY = Finding(
    "postgres_dsn_empty",
    "POSTGRES_DSN is not set, and production embeds no database.",
    "Set POSTGRES_DSN to the address of a PostgreSQL.",
)
REDIS_URL_EMPTY = Finding(
    "redis_url_empty",
    "REDIS_URL is not set, and production embeds no server.",
    "Set REDIS_URL to the address of a Redis or Valkey.",
)
WELL_KNOWN_PASSWORD = Finding(
    "well_known_password",
    "PostgreSQL or Redis has the password that docker-compose.yml gives it where none is set.",
    "Set POSTGRES_PASSWORD and REDIS_PASSWORD; a database that exists needs ALTER ROLE too.",
)

AUTH_NONE_IN_PROD = Finding(
    "auth_none_in_prod",
    "AUTH_MODE=none lets everybody in; in production nobody is let in instead.",
    "Set AUTH_MODE=jwt, or AUTH_MODE=api_key with AUTH_REQUIRE_JWT_IN_PROD=false.",
)
AUTH_MODE_MUST_BE_JWT_IN_PROD = Finding(
    "auth_mode_must_be_jwt_in_prod",
    "Production asks for identities of single users, and AUTH_MODE is not jwt.",
    "Set AUTH_MODE=jwt, or AUTH_REQUIRE_JWT_IN_PROD=false if keys are enough for you.",
)
AUTH_API_KEYS_EMPTY = Finding(
    "auth_api_keys_empty",
    "AUTH_MODE=api_key without API_KEYS; outside production a key is made in DATA_DIR/api_key.",
    "Set API_KEYS, or API_KEYS_FILE to a file with a key a line.",
)
SERVICE_API_KEYS_EMPTY = Finding(
    "service_api_keys_empty",
    "SERVICE_API_KEYS is empty: no key opens the admin routes and the internal socket.",
    "Set SERVICE_API_KEYS if services or operators are to come in.",
)
JWT_SERVICE_KEY_FALLBACK_ENABLED = Finding(
    "jwt_service_key_fallback_enabled",
    "ALLOW_SERVICE_API_KEY_IN_JWT_MODE is on; production ignores it.",
    "Set ALLOW_SERVICE_API_KEY_IN_JWT_MODE=false.",
)
JWT_SHARED_SECRET_SET = Finding(
    "jwt_shared_secret_set",
    "JWT_SHARED_SECRET or an HS algorithm is set: whoever can check a token can forge one.",
    "Unset JWT_SHARED_SECRET, take HS out of OIDC_ALGORITHMS, and set OIDC_ISSUER_URL.",
)
JWT_SECRET_WITHOUT_ALGORITHM = Finding(
    "jwt_secret_without_algorithm",
    "JWT_SHARED_SECRET and OIDC_ALGORITHMS of HS go together, and only one of the two is set.",
    "Set both, or neither.",
)
OIDC_NOT_CONFIGURED = Finding(
    "oidc_not_configured",
    "AUTH_MODE=jwt, and nothing says where the keys of tokens are.",
    "Set OIDC_ISSUER_URL, or OIDC_JWKS_URL.",
)
OIDC_ISSUER_EMPTY = Finding(
    "oidc_issuer_empty",
    "OIDC_ISSUER_URL is not set: tokens of any issuer with these keys would pass.",
    "Set OIDC_ISSUER_URL to the value of `iss`.",
)
OIDC_AUDIENCE_EMPTY = Finding(
    "oidc_audience_empty",
    "OIDC_AUDIENCE is not set: tokens made for other services would pass.",
    "Set OIDC_AUDIENCE to the value of `aud` that is meant for this service.",
)
OIDC_NOT_HTTPS = Finding(
    "oidc_not_https",
    "The identity provider is asked without TLS, so that its keys could be replaced on the way.",
    "Use https in OIDC_ISSUER_URL and OIDC_JWKS_URL.",
)
TENANT_REQUIRES_JWT = Finding(
    "tenant_requires_jwt",
    "TENANT_ENFORCEMENT_ENABLED turns away whoever has no tenant, and some callers have none.",
    "Set AUTH_MODE=jwt, or give every entry of API_KEYS its tenant: `tenant:key`.",
)
TENANT_CLAIM_KEY_MISSING = Finding(
    "tenant_claim_key_missing",
    "TENANT_ENFORCEMENT_ENABLED is on, and no claim is named that holds the tenant.",
    "Set TENANT_CLAIM_KEY.",
)

STORAGE_NOT_SHARED_FS = Finding(
    "storage_not_shared_fs",
    "Production asks for a folder that all processes share, and STORAGE_MODE is local_fs.",
    "Set STORAGE_MODE=shared_fs and STORAGE_SHARED_FS_DIR, or STORAGE_REQUIRE_SHARED_IN_PROD=false"
    " if everything runs on one machine.",
)
STORAGE_SHARED_DIR_EMPTY = Finding(
    "storage_shared_dir_empty",
    "STORAGE_MODE=shared_fs without a folder: each process would use one below its own DATA_DIR.",
    "Set STORAGE_SHARED_FS_DIR to the folder that all processes share.",
)
CORS_WILDCARD_IN_PROD = Finding(
    "cors_wildcard_in_prod",
    "CORS_ALLOWED_ORIGINS holds `*`, which would let any page use this service.",
    "Name the origins of your pages, or leave it empty.",
)
STT_MOCK_IN_PROD = Finding(
    "stt_mock_in_prod",
    "STT_PROVIDER=mock writes a fixed text instead of what was said.",
    "Set STT_PROVIDER=whisper_local.",
)
FOLDER_WORLD_READABLE = Finding(
    "folder_world_readable",
    "A folder with keys or audio is open to every user of this machine.",
    "Take it away from others: chmod o-rwx.",
)
MODEL_MISSING = Finding(
    "model_missing",
    "The speech model that WHISPER_MODEL_SIZE names is not on this machine.",
    "Install the packages of the base model, or set WHISPER_MODEL_SIZE to a folder with a model.",
)

MOCK_CONNECTOR_IN_PROD = Finding(
    "mock_connector_in_prod",
    "MEETING_CONNECTOR_PROVIDER is sberjazz_mock, which joins no real meeting.",
    "Set MEETING_CONNECTOR_PROVIDER=sberjazz, or none.",
)
SBERJAZZ_API_BASE_EMPTY = Finding(
    "sberjazz_api_base_empty",
    "MEETING_CONNECTOR_PROVIDER=sberjazz without SBERJAZZ_API_BASE.",
    "Set SBERJAZZ_API_BASE to the address of the gateway.",
)
SBERJAZZ_API_TOKEN_EMPTY = Finding(
    "sberjazz_api_token_empty",
    "MEETING_CONNECTOR_PROVIDER=sberjazz without SBERJAZZ_API_TOKEN.",
    "Set SBERJAZZ_API_TOKEN, or SBERJAZZ_API_TOKEN_FILE.",
)
SBERJAZZ_API_BASE_NOT_HTTPS = Finding(
    "sberjazz_api_base_not_https",
    "SBERJAZZ_API_BASE is asked without TLS: the token and the audio could be read on the way.",
    "Use https in SBERJAZZ_API_BASE.",
)
SBERJAZZ_REQUIRES_JWT_AUTH_MODE = Finding(
    "sberjazz_requires_jwt_auth_mode",
    "In production the connector is for identities of single users, and AUTH_MODE is not jwt.",
    "Set AUTH_MODE=jwt.",
)
SBERJAZZ_OP_LOCK_TOO_SHORT = Finding(
    "sberjazz_op_lock_too_short",
    "One call to the gateway may take longer than a whole operation.",
    "Set SBERJAZZ_TIMEOUT_SEC to less than four fifths of SBERJAZZ_OP_LOCK_TTL_SEC.",
)
SBERJAZZ_STARTUP_PROBE_FAILED = Finding(
    "sberjazz_startup_probe_failed",
    "The gateway of the connector says that it is not healthy.",
    "Look at the gateway behind SBERJAZZ_API_BASE.",
)
SBERJAZZ_STARTUP_PROBE_ERROR = Finding(
    "sberjazz_startup_probe_error",
    "The gateway of the connector could not be asked.",
    "Check SBERJAZZ_API_BASE, SBERJAZZ_API_TOKEN and the way to it.",
)

SIGNING_KEYS_FAILED = Finding(
    "signing_keys_failed",
    "The identity provider has given no keys yet, so that no token can be verified.",
    "Check OIDC_ISSUER_URL, OIDC_JWKS_URL and the way to them; they are asked again all the time.",
)
DATABASE_FAILED = Finding(
    "database_failed",
    "PostgreSQL does not answer.",
    "Check that it runs, and that POSTGRES_DSN is right.",
)
SCHEMA_BEHIND = Finding(
    "schema_behind",
    "The database lacks migrations of this release.",
    "Run `interview-agent migrate`, or set RUN_MIGRATIONS=true and start again.",
)
DATABASE_FSYNC_OFF = Finding(
    "database_fsync_off",
    "PostgreSQL runs with fsync or full_page_writes off: a power cut loses what was acknowledged.",
    "Set fsync=on and full_page_writes=on in postgresql.conf.",
)
DATABASE_SYNCHRONOUS_COMMIT_OFF = Finding(
    "database_synchronous_commit_off",
    "PostgreSQL acknowledges before it has written: a crash loses what was acknowledged.",
    "Set synchronous_commit=on for the role and database of this service.",
)
REDIS_FAILED = Finding(
    "redis_failed",
    "Redis does not answer: work is found by polling, and live partials are not shown.",
    "Check that it runs, and that REDIS_URL is right.",
)
REDIS_EVICTS = Finding(
    "redis_evicts",
    "Redis may throw wake-ups away when its memory is full; work is then found later.",
    "Set maxmemory-policy to noeviction.",
)
STORAGE_FAILED = Finding(
    "storage_failed",
    "A file cannot be written, synced, read back and deleted in the folder of the audio.",
    "Check space, permissions and the mount of the folder.",
)
STORAGE_NOT_MOUNTED = Finding(
    "storage_not_mounted",
    "The folder of the audio is not the one that this installation stores in: its marker is"
    " another or missing.",
    "Mount the share that belongs here; nothing is written until it is back.",
)
LOOP_NOT_TICKING = Finding(
    "loop_not_ticking",
    "A loop of this process has stopped turning.",
    "Look for it in the log, and start the process again.",
)
WORK_STALLED = Finding(
    "work_stalled",
    "Work is due, grows older, and nobody does it.",
    "Start a process of a role that works on this stage, or look at the log of the one there is.",
)
DRAINING = Finding(
    "draining",
    "This process is being stopped and takes nothing new.",
    "Wait for its successor.",
)

OPEN_DOORS = (
    AUTH_NONE_IN_PROD,
    JWT_SHARED_SECRET_SET,
    OIDC_ISSUER_EMPTY,
    OIDC_AUDIENCE_EMPTY,
    OIDC_NOT_HTTPS,
)
"""What would let in whoever should not be: a production that starts with one lets nobody in."""

UNUSABLE_TOKENS = (JWT_SECRET_WITHOUT_ALGORITHM, OIDC_NOT_CONFIGURED)
"""With one of these no token can be verified, wherever it is found."""

FINDINGS: tuple[Finding, ...] = tuple(
    value for value in list(globals().values()) if isinstance(value, Finding)
)
"""All of them, in the order of declaration."""
