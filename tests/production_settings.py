"""Settings with which a process starts in production."""

SECRET = "hunter2-do-not-show"
SAFE = {
    "APP_ENV": "prod",
    "AUTH_REQUIRE_JWT_IN_PROD": "false",
    "STT_PROVIDER": "mock",
    "SERVICE_API_KEYS": SECRET,
}
