"""Which user the servers run as, and what that user may reach."""

from __future__ import annotations

import pwd
from dataclasses import dataclass
from typing import TYPE_CHECKING

from interview_agent.domain.errors import StartupError

if TYPE_CHECKING:
    import os
    from pathlib import Path

READ = 0o4
ENTER = 0o1


@dataclass(frozen=True)
class Identity:
    """A user and its only group; `drops` says that it is not the user we run as."""

    uid: int
    gid: int
    drops: bool


def choose_identity(
    *, euid: int, egid: int, cluster_owner: int | None, folder_owner: int
) -> Identity:
    """Ourselves, or for root the owner of the cluster, else of the folder, else `nobody`.

    A folder's owner without a passwd entry is passed over, because initdb looks its name up.
    Raises StartupError when the cluster belongs to somebody else, or root has nobody to become.
    """
    if euid != 0:
        if cluster_owner not in {None, euid}:
            raise StartupError(
                f"the embedded database belongs to user {cluster_owner}, and this is user {euid}; "
                "run as that user (or root), or set another DATA_DIR"
            )
        return Identity(euid, egid, drops=False)
    if cluster_owner:
        return Identity(cluster_owner, _group_of(cluster_owner) or cluster_owner, drops=True)
    group = _group_of(folder_owner) if folder_owner else None
    if group is not None:
        return Identity(folder_owner, group, drops=True)
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise StartupError(
            "PostgreSQL refuses to run as root and there is no user `nobody` to run it; "
            "start the service as an ordinary user, or set POSTGRES_DSN and REDIS_URL"
        ) from None
    return Identity(nobody.pw_uid, nobody.pw_gid, drops=True)


def permits(facts: os.stat_result, identity: Identity, wanted: int) -> bool:
    """Whether the mode bits of a file grant `wanted` (READ | ENTER) to an identity."""
    if facts.st_uid == identity.uid:
        granted = facts.st_mode >> 6
    elif facts.st_gid == identity.gid:
        granted = facts.st_mode >> 3
    else:
        granted = facts.st_mode
    return granted & wanted == wanted


def can_enter(folder: Path, identity: Identity) -> bool:
    """Whether an identity can walk from the root down into a folder, going by mode bits."""
    real = folder.resolve()
    return all(permits(step.stat(), identity, ENTER) for step in (real, *real.parents))


def _group_of(uid: int) -> int | None:
    try:
        return pwd.getpwuid(uid).pw_gid
    except KeyError:
        return None
