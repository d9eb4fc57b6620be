"""Production does not start with what is for development."""

from __future__ import annotations

import pytest

from interview_agent.compose.process import open_service
from interview_agent.domain.errors import StartupError
from interview_agent.domain.roles import Role
from interview_agent.settings import read_settings

SAFE = {
    "APP_ENV": "prod-eu",
    "POSTGRES_DSN": "postgresql://nowhere.invalid/x",
    "REDIS_URL": "redis://nowhere.invalid:6379/0",
    "API_KEYS": "key",
}


@pytest.mark.parametrize(
    ("unsafe", "code"),
    [
        ({"CORS_ALLOWED_ORIGINS": "*"}, "cors_wildcard_in_prod"),
        ({"CORS_ALLOWED_ORIGINS": "https://a.example,*"}, "cors_wildcard_in_prod"),
        ({"AUTH_MODE": "none"}, "auth_none_in_prod"),
    ],
)
async def test_an_unsafe_setting_stops_the_start_before_anything_is_opened(
    unsafe: dict[str, str], code: str
) -> None:
    settings = read_settings(SAFE | unsafe)
    with pytest.raises(StartupError, match=code):
        async with open_service(settings, frozenset({Role.API})):
            pass
