"""Captions and the whole hearing in any order, beside a model of a plain list."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from interview_agent.ports.transcriber import TrackProgress
from live_records_bench import LiveBench, commit, draft

if TYPE_CHECKING:
    from interview_agent.adapters.postgres import Database
    from interview_agent.domain.transcript import Segment
    from interview_agent.ports.live_records import GrowingSegment, LiveCommit
    from interview_agent.ports.work import Claim


@pytest.fixture
def bench(database: Database) -> LiveBench:
    return LiveBench(database)


@dataclass
class Model:
    """The transcript of a track as a plain list of texts and times, and random changes of it."""

    chance: random.Random
    lines: list[tuple[str, float]] = field(default_factory=list)
    grows: bool = False
    said: int = 0

    @property
    def end_s(self) -> float:
        return self.lines[-1][1] + 1.0 if self.lines else 0.0

    def _text(self) -> str:
        self.said += 1
        return f"t{self.said}"

    def speak(self) -> LiveCommit:
        """Continue the growing segment, maybe with others behind it."""
        start_s = self.lines.pop()[1] if self.grows else self.end_s
        drafts = [
            draft(self._text(), start_s + number, start_s + number + 1)
            for number in range(self.chance.randrange(1, 4))
        ]
        self.grows = self.chance.random() < 0.5
        self.lines += [(each.text, each.start_s) for each in drafts]
        return commit(*drafts, grows=self.grows)

    def hear_again(self) -> TrackProgress:
        """Replace what lies between a kept beginning and a moment."""
        settled = len(self.lines) - self.grows
        keep = self.chance.randrange(settled + 1)
        last = self.chance.randrange(keep, settled + 1)
        begin_s = self.lines[keep - 1][1] + 1 if keep else 0.0
        until_s = self.lines[last][1] if last < len(self.lines) else self.end_s
        count = self.chance.randrange(4) if until_s > begin_s else 0
        step_s = (until_s - begin_s) / max(count, 1)
        drafts = tuple(
            draft(self._text(), begin_s + number * step_s, begin_s + (number + 1) * step_s)
            for number in range(count)
        )
        stays = [line for line in self.lines[keep:] if line[1] >= until_s]
        new = [(each.text, each.start_s) for each in drafts]
        self.lines = [*self.lines[:keep], *new, *stays]
        return TrackProgress(keep, drafts, {}, None, until_s, until_s=until_s)


@pytest.mark.parametrize("seed", range(8))
async def test_captions_and_the_whole_hearing_in_turn_agree_with_a_plain_list(
    bench: LiveBench, seed: int
) -> None:
    """Order, ordinals, names and events hold after any mix of both on two tracks."""
    chance = random.Random(seed)
    tracks: dict[str, tuple[Model, Claim, GrowingSegment]] = {}
    for track in ("left", "right"):
        claim, growing = await bench.opened(track)
        tracks[track] = Model(chance), claim, growing
    names: dict[str, str] = {}
    for _ in range(25):
        track = chance.choice(("left", "right"))
        model, claim, growing = tracks[track]
        if chance.random() < 0.6:
            growing = await bench.live.commit(claim, growing, model.speak())
            tracks[track] = model, claim, growing
        else:
            batch = await bench.want_batch(track=track)
            await bench.records.commit_progress(batch, model.hear_again())
            await bench.work.complete(batch)
        await agrees(bench, {name: model for name, (model, _, _) in tracks.items()})
        for each in await bench.segments():
            assert names.setdefault(each.segment_id, each.track) == each.track


async def agrees(bench: LiveBench, models: dict[str, Model]) -> None:
    """Check rows and events against the models."""
    for track, model in models.items():
        rows = await bench.rows(
            "SELECT ordinal, raw_text, is_final FROM segments WHERE track = $1 AND NOT retracted"
            " ORDER BY ordinal",
            track,
        )
        assert [row["raw_text"] for row in rows] == [text for text, _ in model.lines]
        assert [row["ordinal"] for row in rows] == list(range(len(rows)))
        assert [row["is_final"] for row in rows] == [True] * (len(rows) - model.grows) + [
            False
        ] * model.grows
    replayed: dict[str, Segment] = {}
    for number, event in enumerate(await bench.archive.events("m1", 0, 1000), 1):
        assert event.event == number
        replayed.pop(event.segment_id, None)
        if event.segment is not None:
            replayed[event.segment_id] = event.segment
    now = {each.segment_id: each for each in await bench.segments()}
    assert {name: (each.raw_text, each.revision) for name, each in replayed.items()} == {
        name: (each.raw_text, each.revision) for name, each in now.items()
    }
