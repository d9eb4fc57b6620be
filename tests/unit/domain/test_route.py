"""What comes after each stage."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from interview_agent.domain.route import (
    UNFINISHED_DELIVERY_DELAY_S,
    RouteFacts,
    Stage,
    Step,
    next_steps,
    steps_after_giving_up,
)

OPEN = RouteFacts(closed=False, upstream_settled=False, text_changed=False, finish_requested=False)
CLOSED = replace(OPEN, closed=True, upstream_settled=True, finish_requested=True)
ALL_FACTS = [RouteFacts(*values) for values in product((False, True), repeat=4)]


@pytest.mark.parametrize(
    ("facts", "goes_on"),
    [
        (OPEN, False),
        (replace(OPEN, text_changed=True), True),
        (replace(OPEN, closed=True), True),
        (replace(OPEN, upstream_settled=True, finish_requested=True), False),
    ],
)
def test_new_words_or_a_closed_transcript_are_enhanced(facts: RouteFacts, goes_on: bool) -> None:
    assert next_steps(Stage.STT, facts) == ((Step(Stage.ENHANCER),) if goes_on else ())


@pytest.mark.parametrize("facts", ALL_FACTS)
def test_what_was_captioned_is_heard_again_once_the_meeting_is_closed(facts: RouteFacts) -> None:
    assert next_steps(Stage.LIVE, facts) == ((Step(Stage.STT),) if facts.closed else ())


@pytest.mark.parametrize("facts", ALL_FACTS)
def test_only_a_closed_transcript_with_nothing_left_to_hear_is_reported_on(
    facts: RouteFacts,
) -> None:
    complete = facts.closed and facts.upstream_settled
    assert next_steps(Stage.ENHANCER, facts) == ((Step(Stage.ANALYTICS),) if complete else ())


def test_the_report_of_a_finished_meeting_is_delivered_at_once_and_else_after_a_while() -> None:
    assert next_steps(Stage.ANALYTICS, CLOSED) == (Step(Stage.DELIVERY, 0.0),)
    silent = replace(CLOSED, finish_requested=False)
    assert next_steps(Stage.ANALYTICS, silent) == (
        Step(Stage.DELIVERY, UNFINISHED_DELIVERY_DELAY_S),
    )


def test_the_road_ends_with_retention() -> None:
    assert next_steps(Stage.DELIVERY, CLOSED) == (Step(Stage.RETENTION),)
    assert next_steps(Stage.RETENTION, CLOSED) == ()


@pytest.mark.parametrize(("stage", "facts"), list(product(Stage, ALL_FACTS)))
def test_audio_moves_one_way(stage: Stage, facts: RouteFacts) -> None:
    """No step leads back, whatever the facts, so no two stages can feed each other for ever."""
    order = list(Stage)
    for step in (*next_steps(stage, facts), *steps_after_giving_up(stage, facts)):
        assert order.index(step.stage) > order.index(stage)
        assert step.delay_s >= 0


@pytest.mark.parametrize("stage", [Stage.LIVE, Stage.STT, Stage.ENHANCER])
@pytest.mark.parametrize("facts", ALL_FACTS)
def test_what_was_heard_goes_on_although_its_stage_failed(stage: Stage, facts: RouteFacts) -> None:
    assert steps_after_giving_up(stage, facts) == next_steps(stage, facts)


@pytest.mark.parametrize("stage", [Stage.ANALYTICS, Stage.DELIVERY])
def test_a_failure_keeps_nothing_beyond_its_time(stage: Stage) -> None:
    assert steps_after_giving_up(stage, CLOSED) == (Step(Stage.RETENTION),)


def test_retention_that_failed_is_left_to_an_operator() -> None:
    assert steps_after_giving_up(Stage.RETENTION, CLOSED) == ()


def test_only_speech_works_track_by_track() -> None:
    assert [stage for stage in Stage if stage.per_track] == [Stage.LIVE, Stage.STT]


def test_streams_and_groups_keep_the_names_that_operators_know() -> None:
    assert [(stage.stream, stage.group, stage.dead_letters) for stage in Stage] == [
        ("q:live", "g:live", "q:live:dlq"),
        ("q:stt", "g:stt", "q:stt:dlq"),
        ("q:enhancer", "g:enhancer", "q:enhancer:dlq"),
        ("q:analytics", "g:analytics", "q:analytics:dlq"),
        ("q:delivery", "g:delivery", "q:delivery:dlq"),
        ("q:retention", "g:retention", "q:retention:dlq"),
        ("q:erasure", "g:erasure", "q:erasure:dlq"),
    ]
