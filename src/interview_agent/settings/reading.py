"""How variables, files and `.env` become settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dotenv import dotenv_values
from pydantic import ValidationError

from interview_agent.settings.kinds import items_of
from interview_agent.settings.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

_NOT_BUILT = ("LLM_", "OPENAI_API_")


class SettingsError(ValueError):
    """The configuration cannot be used; the text names every setting at fault, never its value."""


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
    return items_of(_from_file(name, path))


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
    not_built = sorted(name for name in given if name.startswith(_NOT_BUILT) and given[name])
    settings._files.update(files)  # noqa: SLF001 - this is their constructor
    settings._not_built.extend(not_built)  # noqa: SLF001 - as above
    return settings
