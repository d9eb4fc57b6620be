"""The state folder: private, locked, and careful with what it finds."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from interview_agent.adapters.embedded.folder import LOG_LIMIT_BYTES, StateFolder
from interview_agent.domain.errors import StartupError


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[StateFolder]:
    opened = StateFolder.open(tmp_path / "data")
    yield opened
    opened.close()


def test_a_new_folder_is_private(folder: StateFolder) -> None:
    assert mode_of(folder.path) == 0o700


def test_a_folder_that_was_there_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    StateFolder.open(tmp_path).close()
    assert mode_of(tmp_path) == 0o755


def test_a_second_owner_is_refused_and_told_the_process(folder: StateFolder) -> None:
    with pytest.raises(StartupError, match=f"already in use by process {os.getpid()}; stop it"):
        StateFolder.open(folder.path)


def test_the_lock_goes_with_its_owner(tmp_path: Path) -> None:
    StateFolder.open(tmp_path).close()
    StateFolder.open(tmp_path).close()


def test_a_file_in_the_way_is_an_error_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(StartupError, match=r"DATA_DIR .*data cannot be used"):
        StateFolder.open(tmp_path / "data")


def test_the_secret_is_private_and_stays_the_same(folder: StateFolder) -> None:
    first = folder.secret(may_create=True)
    assert len(first) == 64
    assert folder.secret(may_create=False) == first
    assert mode_of(folder.path / "embedded.secret") == 0o600


def test_a_lost_secret_of_an_existing_cluster_is_an_error(folder: StateFolder) -> None:
    with pytest.raises(StartupError, match=r"embedded\.secret .* is missing"):
        folder.secret(may_create=False)


def test_a_link_is_not_followed(folder: StateFolder, tmp_path: Path) -> None:
    (folder.path / "run").symlink_to(tmp_path)
    with pytest.raises(StartupError, match="run is not usable"):
        folder.folder("run")


def test_a_log_is_kept_until_it_is_too_long(folder: StateFolder) -> None:
    os.close(folder.open_log("postgres"))
    log = folder.path / "log/postgres.log"
    log.write_bytes(b"x" * LOG_LIMIT_BYTES)
    os.close(folder.open_log("postgres"))
    assert log.stat().st_size == LOG_LIMIT_BYTES
    log.write_bytes(b"x" * (LOG_LIMIT_BYTES + 1))
    os.close(folder.open_log("postgres"))
    assert log.stat().st_size == 0
