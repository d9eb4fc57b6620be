"""How variables, files and `.env` become the settings of a process."""

from __future__ import annotations

from pathlib import Path

import pytest

from interview_agent.settings import RELAXED_ENVIRONMENTS, Settings, SettingsError, read_settings

SECRET = "hunter2-do-not-show"


def test_origins_are_exact_and_compared_in_lower_case() -> None:
    given = {"CORS_ALLOWED_ORIGINS": "https://App.example.com, http://10.0.0.1:3000/"}
    assert read_settings(given).cors_allowed_origins == (
        "https://app.example.com",
        "http://10.0.0.1:3000",
    )


@pytest.mark.parametrize(
    "origin", ["null", "app.example.com", "https://*.example.com", "https://a.example/path"]
)
def test_what_is_no_exact_origin_stops_the_start(origin: str) -> None:
    with pytest.raises(SettingsError, match="CORS_ALLOWED_ORIGINS"):
        read_settings({"CORS_ALLOWED_ORIGINS": origin})


def test_nothing_set_gives_the_declared_defaults() -> None:
    assert read_settings({}) == Settings()


@pytest.mark.parametrize("blank", ["", " ", "\t\n"])
def test_a_blank_variable_is_an_unset_one(blank: str) -> None:
    settings = read_settings({"API_PORT": blank, "POSTGRES_DSN": blank, "API_KEYS": blank})
    assert settings == Settings()


def test_a_value_is_stripped() -> None:
    assert read_settings({"API_PORT": " 9000\n", "APP_ENV": " dev "}) == Settings(api_port=9000)


def test_variables_that_are_not_ours_are_left_alone() -> None:
    assert read_settings({"PATH": "/bin", "ALERT_RELAY_RETRIES": "3"}) == Settings()


def test_variables_for_a_language_model_are_known_by_name_alone(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"OPENAI_API_KEY={SECRET}\nLLM_RETRIES=\nLLM_TOP_P\n")
    settings = read_settings({"LLM_ENABLED": "true", "LLM_MODEL_ID": " "}, tmp_path / ".env")
    assert settings.not_built == ("LLM_ENABLED", "OPENAI_API_KEY")
    assert SECRET not in repr(settings)
    assert read_settings({"PATH": "/bin"}).not_built == ()


def test_a_list_is_separated_by_commas_and_blank_items_are_dropped() -> None:
    keys = read_settings({"API_KEYS": " one, two ,,"}).api_keys
    assert [key.get_secret_value() for key in keys] == ["one", "two"]


class TestFiles:
    """`<NAME>_FILE` names a file that holds the value."""

    def test_the_value_is_read_without_the_newline_at_its_end(self, tmp_path: Path) -> None:
        (tmp_path / "dsn").write_text("postgresql://u:p@h/d\n")
        dsn = read_settings({"POSTGRES_DSN_FILE": str(tmp_path / "dsn")}).postgres_dsn
        assert dsn is not None
        assert dsn.get_secret_value() == "postgresql://u:p@h/d"

    def test_lines_become_a_list(self, tmp_path: Path) -> None:
        (tmp_path / "keys").write_text("one\n\n  two\n")
        keys = read_settings({"API_KEYS_FILE": str(tmp_path / "keys")}).api_keys
        assert [key.get_secret_value() for key in keys] == ["one", "two"]

    def test_the_file_wins_over_the_plain_variable(self, tmp_path: Path) -> None:
        (tmp_path / "port").write_text("9001")
        environ = {"API_PORT": "9000", "API_PORT_FILE": str(tmp_path / "port")}
        assert read_settings(environ).api_port == 9001

    def test_an_empty_file_leaves_the_setting_unset(self, tmp_path: Path) -> None:
        (tmp_path / "url").write_text("\n")
        assert read_settings({"REDIS_URL_FILE": str(tmp_path / "url")}).redis_url is None

    def test_a_blank_name_is_an_unset_variable(self) -> None:
        assert read_settings({"API_PORT": "9000", "API_PORT_FILE": " "}).api_port == 9000

    def test_a_missing_file_stops_the_start_with_the_name_of_the_variable(self) -> None:
        with pytest.raises(SettingsError, match=r"^SMTP_PASS_FILE .* cannot be read: No such"):
            read_settings({"SMTP_PASS_FILE": "/nowhere/password"})

    def test_a_folder_is_not_a_readable_file(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match=r"^SMTP_PASS_FILE .* cannot be read"):
            read_settings({"SMTP_PASS_FILE": str(tmp_path)})

    def test_bytes_that_are_no_text_are_refused_without_being_shown(self, tmp_path: Path) -> None:
        (tmp_path / "key").write_bytes(SECRET.encode() + b"\xff\xfe")
        with pytest.raises(SettingsError, match=r"^SMTP_PASS_FILE .* UTF-8") as caught:
            read_settings({"SMTP_PASS_FILE": str(tmp_path / "key")})
        assert SECRET not in str(caught.value)
        assert caught.value.__cause__ is None


class TestDotenv:
    """The file `.env` comes second to the environment."""

    def test_it_fills_what_the_environment_leaves_open(self, tmp_path: Path) -> None:
        dotenv = tmp_path / ".env"
        dotenv.write_text("API_PORT=9002\nLOG_LEVEL=DEBUG\n")
        settings = read_settings({"API_PORT": "9003", "LOG_LEVEL": " "}, dotenv)
        assert (settings.api_port, settings.log_level) == (9003, "DEBUG")

    def test_empty_and_bare_names_are_unset(self, tmp_path: Path) -> None:
        (tmp_path / ".env").write_text("API_PORT=\nREDIS_URL\n# LOG_LEVEL=DEBUG\n")
        assert read_settings({}, tmp_path / ".env") == Settings()

    def test_a_value_that_looks_like_a_reference_is_taken_as_it_stands(
        self, tmp_path: Path
    ) -> None:
        (tmp_path / ".env").write_text("SMTP_PASS=a${PATH}b\n")
        password = read_settings({}, tmp_path / ".env").smtp_pass
        assert password is not None
        assert password.get_secret_value() == "a${PATH}b"

    def test_no_such_file_is_fine(self, tmp_path: Path) -> None:
        assert read_settings({}, tmp_path / ".env") == Settings()

    def test_a_file_that_is_no_text_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / ".env").write_bytes(b"SMTP_PASS=\xff\xfe\n")
        with pytest.raises(SettingsError, match="is not UTF-8 text"):
            read_settings({}, tmp_path / ".env")


class TestProduction:
    """Production is everything that is not explicitly relaxed."""

    @pytest.mark.parametrize("name", RELAXED_ENVIRONMENTS)
    def test_three_environments_are_relaxed(self, name: str) -> None:
        settings = read_settings({"APP_ENV": name})
        assert not settings.is_prod
        assert settings.embedded_postgres
        assert settings.embedded_redis

    @pytest.mark.parametrize(
        "name", ["prod", "PROD ", "Prod-eu", "production", "stage", "Dev", "LOCAL", "tests", "?"]
    )
    def test_everything_else_is_production_and_embeds_nothing(self, name: str) -> None:
        settings = read_settings({"APP_ENV": name})
        assert settings.is_prod
        assert not settings.embedded_postgres
        assert not settings.embedded_redis

    def test_nothing_set_is_development(self) -> None:
        assert not read_settings({}).is_prod

    def test_an_address_replaces_one_embedded_server_alone(self) -> None:
        settings = read_settings({"REDIS_URL": "redis://h:6379/0"})
        assert (settings.embedded_postgres, settings.embedded_redis) == (True, False)


@pytest.mark.parametrize(
    ("given", "used"),
    [
        (
            "postgresql+psycopg://u:p@h:5432/d?sslmode=require",
            "postgresql://u:p@h:5432/d?sslmode=require",
        ),
        ("postgresql+asyncpg://u:p+q@h/d", "postgresql://u:p+q@h/d"),
        ("postgres://u:a+b@h/d", "postgres://u:a+b@h/d"),
    ],
)
def test_a_driver_in_the_scheme_of_a_dsn_is_dropped_and_nothing_else(given: str, used: str) -> None:
    dsn = read_settings({"POSTGRES_DSN": given}).postgres_dsn
    assert dsn is not None
    assert dsn.get_secret_value() == used


@pytest.mark.parametrize(
    ("base", "variables", "expected"),
    [
        ("d/chunks", {}, "d/chunks"),
        ("a", {"CHUNKS_DIR": "a"}, "a"),
        ("a", {"CHUNKS_DIR": "a", "STORAGE_SHARED_FS_DIR": "s"}, "a"),
        ("s", {"STORAGE_MODE": "shared_fs", "STORAGE_SHARED_FS_DIR": "s", "CHUNKS_DIR": "a"}, "s"),
        ("a", {"STORAGE_MODE": "shared_fs", "CHUNKS_DIR": "a"}, "a"),
    ],
)
def test_where_audio_lies(base: str, variables: dict[str, str], expected: str) -> None:
    assert read_settings({"DATA_DIR": "d", **variables}).blob_dir == Path(expected)


class TestFaults:
    """A value that cannot be used is named by its variable and never shown."""

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("API_PORT", SECRET),
            ("API_PORT", "65536"),
            ("AUTH_MODE", SECRET),
            ("PII_MASKING", SECRET),
            ("MEETING_QUIET_SEC", "-7.25"),
            ("WHISPER_BEAM_SIZE", "1.5"),
            ("STT_PROVIDER", SECRET),
        ],
    )
    def test_the_variable_is_named_and_its_value_is_not(self, name: str, value: str) -> None:
        with pytest.raises(SettingsError) as caught:
            read_settings({name: value})
        assert str(caught.value).startswith(f"{name}: ")
        assert value not in str(caught.value)
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__

    def test_every_fault_is_named_at_once(self) -> None:
        with pytest.raises(SettingsError) as caught:
            read_settings({"API_PORT": "x", "LOG_FORMAT": "y"})
        assert "API_PORT: " in str(caught.value)
        assert "LOG_FORMAT: " in str(caught.value)


def test_no_secret_stands_in_the_printed_settings() -> None:
    settings = read_settings(
        {
            "POSTGRES_DSN": f"postgresql://u:{SECRET}@h/d",
            "REDIS_URL": f"redis://:{SECRET}@h/0",
            "API_KEYS": f"tenant:{SECRET},{SECRET}",
            "SERVICE_API_KEYS": SECRET,
            "SMTP_PASS": SECRET,
        }
    )
    assert SECRET not in repr(settings)
    assert SECRET not in str(settings)
    assert SECRET not in settings.model_dump_json()


def test_settings_cannot_be_changed_after_they_were_read() -> None:
    with pytest.raises(ValueError, match="frozen"):
        read_settings({}).api_port = 1


def test_every_setting_says_what_it_is_in_one_sentence() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name


def test_trusted_proxies_are_addresses_and_networks() -> None:
    given = read_settings({"TRUSTED_PROXIES": "10.1.2.3/8, 192.0.2.1,2001:db8::/32"})
    assert given.trusted_proxies == ("10.0.0.0/8", "192.0.2.1/32", "2001:db8::/32")
    for wrong in ("proxy.example", "10.0.0.0/33", "10.0.0", "*"):
        with pytest.raises(SettingsError, match="TRUSTED_PROXIES"):
            read_settings({"TRUSTED_PROXIES": wrong})


def test_all_origins_is_a_word_of_its_own() -> None:
    assert read_settings({"CORS_ALLOWED_ORIGINS": "*"}).cors_allowed_origins == ("*",)
    for wrong in ("https://*", "*.example.com", "**"):
        with pytest.raises(SettingsError, match="CORS_ALLOWED_ORIGINS"):
            read_settings({"CORS_ALLOWED_ORIGINS": wrong})


def test_hosts_of_links_are_names_and_never_addresses() -> None:
    hosts = read_settings({"SBERJAZZ_JOIN_HOSTS": "Meet.Example.com, *.example.org"})
    assert hosts.sberjazz_join_hosts == ("meet.example.com", "*.example.org")
    for wrong in ("127.0.0.1", "[::1]", "*", "localhost", "https://example.com", "a.*.com"):
        with pytest.raises(SettingsError, match="SBERJAZZ_JOIN_HOSTS"):
            read_settings({"SBERJAZZ_JOIN_HOSTS": wrong})
