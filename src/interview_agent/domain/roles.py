"""What a process does: the parts of the service that can be scaled apart."""

from __future__ import annotations

from enum import StrEnum

from interview_agent.domain.errors import ValidationFailed
from interview_agent.domain.route import Stage


class Role(StrEnum):
    """A part of the service; `all` is every part, `worker` every stage."""

    ALL = "all"
    API = "api"
    WORKER = "worker"
    STT = "stt"
    ANALYTICS = "analytics"
    RECONCILIATION = "reconciliation"


_STAGES: dict[Role, frozenset[Stage]] = {
    Role.ALL: frozenset(Stage),
    Role.API: frozenset(),
    Role.WORKER: frozenset(Stage),
    Role.STT: frozenset({Stage.LIVE, Stage.STT}),
    Role.ANALYTICS: frozenset(Stage) - {Stage.LIVE, Stage.STT},
    Role.RECONCILIATION: frozenset(),
}


def parse_roles(text: str) -> frozenset[Role]:
    """Read a comma-separated list of roles. Raises `ValidationFailed` naming the ones there are."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    known = [role.value for role in Role]
    if not names or any(name not in known for name in names):
        message = f"a role is one of {', '.join(known)}; several are separated by commas"
        raise ValidationFailed(message)
    return frozenset(Role(name) for name in names)


def stages_of(roles: frozenset[Role]) -> tuple[Stage, ...]:
    """Return the stages that a process of these roles works on, in the order of the route."""
    wanted = frozenset[Stage]().union(*(_STAGES[role] for role in roles))
    return tuple(stage for stage in Stage if stage in wanted)


def serves_api(roles: frozenset[Role]) -> bool:
    """Whether a process of these roles answers the public API."""
    return bool(roles & {Role.ALL, Role.API})


def sweeps(roles: frozenset[Role]) -> bool:
    """Whether a process of these roles looks after what no stage does: leftovers, and bots."""
    return bool(roles & {Role.ALL, Role.RECONCILIATION})
