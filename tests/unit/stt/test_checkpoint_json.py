"""What a checkpoint keeps, and when it no longer fits the track."""

from __future__ import annotations

import json

from interview_agent.ports.speech import WindowResult
from interview_agent.ports.transcriber import AudioPart
from interview_agent.stt.checkpoint import Checkpoint, begin_with, ranges_of
from interview_agent.stt.position import MAX_PROMPT_TOKENS, Position
from interview_agent.stt.track_audio import Break


def part(seq: int) -> AudioPart:
    return AudioPart(seq, f"k{seq}", 10, "d1", "pcm", 16000, 1, None)


def result(*tokens: int, temperature: float = 0.0, silent: bool = False) -> WindowResult:
    return WindowResult((), tokens, 3000, temperature, silent, 1.5, 29.0, "ru")


def test_a_checkpoint_survives_json() -> None:
    """Every field comes back as it was."""
    position = Position(300, (1, 2), 1.25, 1.0, 2.5, "ru", 7)
    kept = Checkpoint(position, (Break(part(2), 100),), ((0, 1), (3, 3)), 9)
    # The broken part is not among the parts any more; the others are what it began with.
    parts = [part(seq) for seq in (0, 1, 3, 4)]
    assert begin_with([0, 1, 3, 4], [(0, 1), (3, 3)])
    assert Checkpoint.read(json.loads(json.dumps(kept.to_json())), parts).breaks == kept.breaks
    whole = Checkpoint(position, (Break(part(2), 100),), ((0, 3),), 9)
    assert Checkpoint.read(json.loads(json.dumps(whole.to_json())), parts) == whole


def test_a_filled_hole_means_starting_again() -> None:
    """The position is given up; how much stands is not forgotten."""
    kept = Checkpoint(Position(frames=300), (), ((0, 1), (3, 4)), 9).to_json()
    again = Checkpoint.read(kept, [part(seq) for seq in range(5)])
    assert again == Checkpoint(standing=9)


def test_a_broken_part_that_is_offered_again_is_broken_no_more() -> None:
    """What it lacked has come; breaks of parts that stay away stand."""
    kept = Checkpoint(Position(frames=300), (Break(part(2), 9), Break(part(4), 9)), ((0, 4),), 9)
    again = Checkpoint.read(kept.to_json(), [part(seq) for seq in (0, 1, 3, 4)])
    assert again == Checkpoint(Position(frames=300), (Break(part(2), 9),), ((0, 4),), 9)


def test_a_checkpoint_of_another_format_is_not_read() -> None:
    """A worker of another version starts again rather than guess."""
    assert Checkpoint.read({"format": 99}, [part(0)]) == Checkpoint()


def test_seqs_are_kept_as_ranges() -> None:
    """Ten thousand chunks without a hole are one pair."""
    assert ranges_of([*range(10_000), 20_000]) == [[0, 9_999], [20_000, 20_000]]
    assert not begin_with([0, 1], [(0, 2)])


def test_the_prompt_is_no_longer_than_the_library_can_use() -> None:
    """Older tokens go first."""
    after = Position(prompt=tuple(range(200))).after(
        result(*range(1000, 1100)), segments=3, looped=False
    )
    assert len(after.prompt) == MAX_PROMPT_TOKENS
    assert after.prompt[-1] == 1099
    assert (after.frames, after.segments, after.language) == (3000, 3, "ru")


def test_doubtful_text_prompts_nothing() -> None:
    """High temperature and cut loops clear the prompt, silence leaves it alone."""
    before = Position(prompt=(1, 2))
    assert before.after(result(3, temperature=0.6), segments=0, looped=False).prompt == ()
    assert before.after(result(3), segments=0, looped=True).prompt == ()
    quiet = result(temperature=1.0, silent=True)
    assert before.after(quiet, segments=0, looped=False).prompt == (1, 2)


def test_the_first_ceiling_is_remembered() -> None:
    """It tells later whether the first windows were heard like the last ones."""
    first = Position().after(result(), segments=0, looped=False)
    second = Position(loudest=2.0, first_loudest=1.0).after(result(), segments=0, looped=False)
    assert (first.first_loudest, second.first_loudest) == (1.5, 1.0)
