"""How ids survive when a stretch of transcript is derived again."""

from __future__ import annotations

from interview_agent.domain.revision import RevisionPlan, plan_revision
from interview_agent.domain.transcript import DraftSegment, Segment, Word


def stored(segment_id: str, start_s: float, end_s: float, text: str = "text") -> Segment:
    return Segment(
        meeting_id="m",
        segment_id=segment_id,
        track="main",
        start_s=start_s,
        end_s=end_s,
        raw_text=text,
        text=text,
        words=(Word(text, start_s, end_s),),
    )


def draft(start_s: float, end_s: float, text: str = "text") -> DraftSegment:
    return DraftSegment(text, start_s, end_s, (Word(text, start_s, end_s),))


def outcome(plan: RevisionPlan) -> list[tuple[str | None, bool]]:
    return [(each.segment_id, each.changed) for each in plan.revisions]


def test_the_first_words_are_new() -> None:
    plan = plan_revision([], [draft(0, 1), draft(1, 2)])
    assert outcome(plan) == [(None, True), (None, True)]
    assert plan.retracted == ()


def test_the_same_words_again_change_nothing() -> None:
    plan = plan_revision([stored("a", 0, 1), stored("b", 1, 2)], [draft(0, 1), draft(1, 2)])
    assert outcome(plan) == [("a", False), ("b", False)]
    assert plan.retracted == ()


def test_a_difference_below_what_is_stored_is_none() -> None:
    """Times are stored in milliseconds, so a draft never equals them exactly."""
    plan = plan_revision([stored("a", 0.123, 1.456)], [draft(0.12345, 1.45649)])
    assert outcome(plan) == [("a", False)]


def test_other_words_or_other_times_of_words_are_a_new_revision_of_the_same_segment() -> None:
    assert outcome(plan_revision([stored("a", 0, 1)], [draft(0, 1, "other")])) == [("a", True)]
    moved = DraftSegment("text", 0.0, 1.0, (Word("text", 0.2, 1.0),))
    assert outcome(plan_revision([stored("a", 0, 1)], [moved])) == [("a", True)]


def test_half_of_the_shorter_segment_in_common_keeps_the_id_and_less_does_not() -> None:
    assert outcome(plan_revision([stored("a", 0, 10)], [draft(9.0, 11.0, "x")])) == [("a", True)]
    plan = plan_revision([stored("a", 0, 10)], [draft(9.1, 11.0, "x")])
    assert outcome(plan) == [(None, True)]
    assert plan.retracted == ("a",)


def test_what_is_no_longer_there_is_retracted() -> None:
    old = [stored("a", 0, 1, "one"), stored("b", 1, 2, "two"), stored("c", 2, 3, "three")]
    plan = plan_revision(old, [draft(0, 1, "one"), draft(2, 3, "three")])
    assert outcome(plan) == [("a", False), ("c", False)]
    assert plan.retracted == ("b",)
    assert plan_revision(old, []).retracted == ("a", "b", "c")


def test_one_segment_split_in_two_gives_its_id_to_the_first() -> None:
    plan = plan_revision([stored("a", 0, 4)], [draft(0, 2, "first"), draft(2, 4, "second")])
    assert outcome(plan) == [("a", True), (None, True)]
    assert plan.retracted == ()


def test_two_segments_joined_keep_the_first_id_and_lose_the_second() -> None:
    plan = plan_revision([stored("a", 0, 2), stored("b", 2, 4)], [draft(0, 4, "both")])
    assert outcome(plan) == [("a", True)]
    assert plan.retracted == ("b",)


def test_audio_put_in_between_shifts_what_follows_without_mixing_ids() -> None:
    old = [stored("a", 0, 1, "one"), stored("b", 1, 2, "two")]
    plan = plan_revision(old, [draft(0, 1, "one"), draft(1, 5, "new"), draft(5, 6, "two")])
    ids = [each.segment_id for each in plan.revisions]
    assert ids[0] == "a"
    known = [each for each in ids if each is not None]
    assert len(known) == len(set(known))
    assert set(known) | set(plan.retracted) == {"a", "b"}


def test_no_id_is_given_twice_and_none_is_lost() -> None:
    old = [stored(f"s{n}", n * 1.0, n + 1.0, f"w{n}") for n in range(8)]
    for shift in (0.0, 0.3, 0.5, 0.9, 3.0):
        new = [draft(n + shift, n + 1.0 + shift, f"w{n}") for n in range(6)]
        plan = plan_revision(old, new)
        ids = [each.segment_id for each in plan.revisions if each.segment_id is not None]
        assert len(ids) == len(set(ids))
        assert sorted([*ids, *plan.retracted]) == [segment.segment_id for segment in old]
