"""Which role does what."""

from __future__ import annotations

import pytest

from interview_agent.domain.errors import ValidationFailed
from interview_agent.domain.roles import Role, parse_roles, serves_api, stages_of, sweeps
from interview_agent.domain.route import Stage


def test_roles_are_separated_by_commas_and_spaces_do_not_matter() -> None:
    assert parse_roles(" api , worker,api") == {Role.API, Role.WORKER}


SPEECH = [Stage.LIVE, Stage.STT]


@pytest.mark.parametrize("text", ["", " , ", "boss", "api,boss", "API", "api worker"])
def test_an_unknown_role_is_refused_with_a_list_of_those_there_are(text: str) -> None:
    with pytest.raises(ValidationFailed) as refused:
        parse_roles(text)
    assert all(role.value in refused.value.message for role in Role)


@pytest.mark.parametrize(
    ("text", "stages", "api", "sweeping"),
    [
        ("all", list(Stage), True, True),
        ("api", [], True, False),
        ("worker", list(Stage), False, False),
        ("stt", SPEECH, False, False),
        ("analytics", [each for each in Stage if each not in SPEECH], False, False),
        ("reconciliation", [], False, True),
        ("stt,analytics", list(Stage), False, False),
        ("api,reconciliation", [], True, True),
    ],
)
def test_each_role_does_its_part(text: str, stages: list[Stage], api: bool, sweeping: bool) -> None:
    roles = parse_roles(text)
    assert list(stages_of(roles)) == stages
    assert serves_api(roles) is api
    assert sweeps(roles) is sweeping
