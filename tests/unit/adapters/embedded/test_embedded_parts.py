"""Small parts of the embedded stack: copies, orphans, pauses."""

import os
from pathlib import Path

import pytest

from interview_agent.adapters.embedded.binaries import InstalledFile, copy_missing
from interview_agent.adapters.embedded.leftovers import processes_in, remove
from interview_agent.adapters.embedded.stack import pause_s


def test_a_copy_is_completed_and_not_made_again(tmp_path: Path) -> None:
    site, target = tmp_path / "site", tmp_path / "copy"
    (site / "bin").mkdir(parents=True)
    target.mkdir()
    (site / "bin/tool").write_text("tool")
    (site / "bin/tool").chmod(0o700)
    (site / "table").write_text("table")
    files = [InstalledFile(site, Path("bin/tool")), InstalledFile(site, Path("table"))]
    copy_missing(files, target)
    kept = (target / "table").stat().st_ino
    (target / "bin/tool").write_text("to")
    copy_missing(files, target)
    assert (target / "bin/tool").read_text() == "tool"
    assert (target / "bin/tool").stat().st_mode & 0o777 == 0o755
    assert (target / "bin").stat().st_mode & 0o777 == 0o755
    assert (target / "table").stat().st_mode & 0o777 == 0o644
    assert (target / "table").stat().st_ino == kept
    assert sorted(path.name for path in target.rglob("*")) == ["bin", "table", "tool"]


def test_only_the_named_program_in_the_same_folder_counts(tmp_path: Path) -> None:
    here, proc = tmp_path / "here", tmp_path / "proc"
    here.mkdir()
    for pid, program, folder in [
        (7, "postgres", here),
        (8, "bash", here),
        (9, "postgres", tmp_path),
    ]:
        (proc / str(pid)).mkdir(parents=True)
        (proc / str(pid) / "comm").write_text(f"{program}\n")
        (proc / str(pid) / "cwd").symlink_to(folder)
    (proc / "10").mkdir()
    (proc / "10/comm").write_text("postgres\n")  # a zombie: a name and no directory
    (proc / "self").mkdir()
    fd = os.open(here, os.O_RDONLY)
    try:
        assert processes_in(fd, "postgres", proc) == [7]
    finally:
        os.close(fd)


def test_removing_minds_neither_absence_nor_neighbours(tmp_path: Path) -> None:
    (tmp_path / "stale").write_text("")
    (tmp_path / "other").write_text("")
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        remove(fd, ["stale", "absent"])
    finally:
        os.close(fd)
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


@pytest.mark.parametrize(("deaths", "seconds"), [(1, 0.1), (2, 0.2), (3, 0.4), (50, 5.0)])
def test_each_restart_waits_longer_up_to_a_bound(deaths: int, seconds: float) -> None:
    assert pause_s(deaths) == pytest.approx(seconds)
