"""What a step of a track leaves for the next one, as JSON."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from interview_agent.ports.transcriber import AudioPart
from interview_agent.stt.position import Position
from interview_agent.stt.track_audio import Break

if TYPE_CHECKING:
    from collections.abc import Sequence

FORMAT = 2


def ranges_of(seqs: Sequence[int]) -> list[list[int]]:
    """Return the seqs as pairs of first and last, one for each run without a hole."""
    ranges: list[list[int]] = []
    for seq in seqs:
        if ranges and ranges[-1][1] == seq - 1:
            ranges[-1][1] = seq
        else:
            ranges.append([seq, seq])
    return ranges


def begin_with(seqs: Sequence[int], ranges: Sequence[Sequence[int]]) -> bool:
    """Say whether `seqs` begin with exactly what the ranges hold."""
    count = sum(last - first + 1 for first, last in ranges)
    return ranges_of(seqs[:count]) == [list(pair) for pair in ranges]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A position, the chunks that led to it, and the breaks in them.

    `seqs` are pairs of first and last. `standing` counts the segments of the track that stand
    now, those of the tail included.
    """

    position: Position = dataclasses.field(default_factory=Position)
    breaks: tuple[Break, ...] = ()
    seqs: tuple[tuple[int, int], ...] = ()
    standing: int = 0

    @classmethod
    def read(cls, value: dict[str, Any] | None, parts: Sequence[AudioPart]) -> Checkpoint:
        """Read a checkpoint that `to_json` wrote.

        When the chunks behind it are not what the track begins with now, because a hole was
        filled, recognition starts again from nothing; the breaks stand, but for those in parts
        that are offered again.
        """
        if not value or value.get("format") != FORMAT:
            return cls()
        offered = {part.seq for part in parts}
        known = (Break(AudioPart(**item["part"]), item["samples"]) for item in value["breaks"])
        breaks = tuple(each for each in known if each.part.seq not in offered)
        seqs = offered | {each.part.seq for each in breaks}
        if not begin_with(sorted(seqs), value["seqs"]):
            return cls(breaks=breaks, standing=value["standing"])
        return cls(
            position=Position.from_json(value["position"]),
            breaks=breaks,
            seqs=tuple((first, last) for first, last in value["seqs"]),
            standing=value["standing"],
        )

    def to_json(self) -> dict[str, Any]:
        """Return the checkpoint as a JSON object."""
        return {
            "format": FORMAT,
            "position": self.position.to_json(),
            "breaks": [dataclasses.asdict(item) for item in self.breaks],
            "seqs": [list(pair) for pair in self.seqs],
            "standing": self.standing,
        }
