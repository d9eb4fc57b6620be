"""Where the files of a model come from, and that they are checked."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from interview_agent.adapters.whisper.model_files import (
    can_join,
    find_model,
    is_usable,
    is_verified,
    join_base,
)
from interview_agent.domain.errors import StartupError

if TYPE_CHECKING:
    from pathlib import Path

BODY = os.urandom(3000)
SHA256 = hashlib.sha256(BODY).hexdigest()


def packages(folder: Path, body: bytes = BODY) -> list[Path]:
    """Make two folders that hold a model in halves, as the packages do."""
    folders = [folder / "one", folder / "two"]
    for each in folders:
        each.mkdir(parents=True)
    (folders[0] / "config.json").write_text("{}")
    (folders[0] / "model.bin.part1").write_bytes(body[:1500])
    (folders[1] / "model.bin.part2").write_bytes(body[1500:])
    return folders


def test_halves_are_joined_and_checked(tmp_path: Path) -> None:
    """The model stands whole beside its other files, and nothing else is left."""
    target = tmp_path / "models" / "whisper-base"
    assert join_base(target, packages(tmp_path), SHA256) == target
    assert (target / "model.bin").read_bytes() == BODY
    assert (target / "config.json").exists()
    assert not list(target.glob("*.part*"))
    assert list(target.parent.iterdir()) == [target]


def test_a_model_once_joined_needs_no_packages(tmp_path: Path) -> None:
    """Later starts find it there; without it and without packages there is nothing."""
    target = tmp_path / "models" / "whisper-base"
    assert join_base(target, None, SHA256) is None
    join_base(target, packages(tmp_path), SHA256)
    assert join_base(target, None, SHA256) == target


def test_wrong_halves_stop_the_start(tmp_path: Path) -> None:
    """The sentence names the packages, and no model is left behind."""
    target = tmp_path / "models" / "whisper-base"
    with pytest.raises(StartupError, match="reinstall the packages"):
        join_base(target, packages(tmp_path, BODY[::-1]), SHA256)
    assert list(target.parent.iterdir()) == []


def test_a_changed_model_is_found_out_and_made_again(tmp_path: Path) -> None:
    """The digest is trusted only while size and time stay the same."""
    target = tmp_path / "models" / "whisper-base"
    sources = packages(tmp_path)
    join_base(target, sources, SHA256)
    os.utime(target / "model.bin", ns=(1, 1))
    assert is_verified(target, SHA256)
    (target / "model.bin").write_bytes(BODY[:-1] + b"?")
    assert not is_verified(target, SHA256)
    join_base(target, sources, SHA256)
    assert (target / "model.bin").read_bytes() == BODY


def test_a_damaged_model_is_noticed_unless_it_can_be_made_again(tmp_path: Path) -> None:
    target, sources = tmp_path / "models" / "whisper-base", packages(tmp_path)
    assert not can_join(target, None, SHA256)
    join_base(target, sources, SHA256)
    assert can_join(target, None, SHA256)
    (target / "model.bin").write_bytes(BODY[:-1] + b"?")
    assert not can_join(target, None, SHA256)
    assert can_join(target, sources, SHA256)


def test_a_model_of_ones_own_that_disappears_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "model.bin").touch()
    assert is_usable(str(tmp_path), tmp_path)
    (tmp_path / "model.bin").unlink()
    assert not is_usable(str(tmp_path), tmp_path)


def test_several_starts_at_once_end_with_one_model(tmp_path: Path) -> None:
    """Whoever comes second uses what the first one made."""
    target = tmp_path / "models" / "whisper-base"
    sources = packages(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: join_base(target, sources, SHA256), range(8)))
    assert found == [target] * 8
    assert is_verified(target, SHA256)
    assert list(target.parent.iterdir()) == [target]


def test_a_folder_is_taken_as_it_is(tmp_path: Path) -> None:
    """It must hold a model."""
    with pytest.raises(StartupError, match=r"no model\.bin"):
        find_model(str(tmp_path), tmp_path)
    (tmp_path / "model.bin").touch()
    assert find_model(str(tmp_path), tmp_path / "unused") == tmp_path


@pytest.mark.parametrize(
    ("size", "sentence"),
    [("gigantic", "neither a folder nor a known model"), ("large-v3", "not on this machine")],
)
def test_a_model_that_cannot_be_had_stops_the_start(
    tmp_path: Path, size: str, sentence: str
) -> None:
    """The sentence says what to do."""
    with pytest.raises(StartupError, match=sentence):
        find_model(size, tmp_path)
