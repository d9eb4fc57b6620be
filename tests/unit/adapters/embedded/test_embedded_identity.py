"""Which user the embedded servers run as, and where that user may go."""

import os
import pwd
import stat
from pathlib import Path

import pytest

from interview_agent.adapters.embedded.identity import (
    ENTER,
    READ,
    Identity,
    can_enter,
    choose_identity,
    permits,
)
from interview_agent.domain.errors import StartupError

NOBODY = pwd.getpwnam("nobody")
UNKNOWN_UID = 3_999_999_999


def facts(mode: int, uid: int, gid: int) -> os.stat_result:
    return os.stat_result((mode, 0, 0, 1, uid, gid, 0, 0, 0, 0))


def test_an_ordinary_user_stays_itself() -> None:
    chosen = choose_identity(euid=1000, egid=1001, cluster_owner=None, folder_owner=0)
    assert chosen == Identity(1000, 1001, drops=False)


def test_an_ordinary_user_is_refused_a_cluster_of_somebody_else() -> None:
    with pytest.raises(StartupError, match=r"belongs to user 65534.*set another DATA_DIR"):
        choose_identity(euid=1000, egid=1000, cluster_owner=65534, folder_owner=1000)


def test_root_becomes_nobody_in_its_own_folder() -> None:
    chosen = choose_identity(euid=0, egid=0, cluster_owner=None, folder_owner=0)
    assert chosen == Identity(NOBODY.pw_uid, NOBODY.pw_gid, drops=True)


def test_root_becomes_the_owner_of_the_folder() -> None:
    known = next(entry for entry in pwd.getpwall() if entry.pw_uid not in {0, NOBODY.pw_uid})
    chosen = choose_identity(euid=0, egid=0, cluster_owner=None, folder_owner=known.pw_uid)
    assert chosen == Identity(known.pw_uid, known.pw_gid, drops=True)


def test_root_passes_over_an_owner_that_has_no_name() -> None:
    chosen = choose_identity(euid=0, egid=0, cluster_owner=None, folder_owner=UNKNOWN_UID)
    assert chosen.uid == NOBODY.pw_uid


def test_root_becomes_the_owner_of_the_cluster_before_all_others() -> None:
    chosen = choose_identity(euid=0, egid=0, cluster_owner=UNKNOWN_UID, folder_owner=0)
    assert chosen == Identity(UNKNOWN_UID, UNKNOWN_UID, drops=True)


@pytest.mark.parametrize(
    ("mode", "uid", "gid", "wanted", "granted"),
    [
        (0o700, 5, 5, ENTER, True),
        (0o077, 5, 5, ENTER, False),
        (0o070, 1, 5, READ | ENTER, True),
        (0o707, 1, 5, READ, False),
        (0o005, 1, 1, READ | ENTER, True),
        (0o004, 1, 1, READ | ENTER, False),
    ],
)
def test_the_first_class_that_matches_decides(
    mode: int, uid: int, gid: int, wanted: int, granted: bool
) -> None:
    who = Identity(5, 5, drops=True)
    assert permits(facts(stat.S_IFDIR | mode, uid, gid), who, wanted) is granted


def test_one_closed_parent_closes_all_below_it(tmp_path: Path) -> None:
    inside = tmp_path / "closed" / "open"
    inside.mkdir(parents=True)
    inside.parent.chmod(0o700)
    assert not can_enter(inside, Identity(UNKNOWN_UID, UNKNOWN_UID, drops=True))
    assert can_enter(inside, Identity(os.geteuid(), os.getegid(), drops=False))
