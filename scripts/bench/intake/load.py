"""What a sender is told to do, and what it found."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import asdict, dataclass, field, fields
from typing import Literal, NamedTuple

from captions.delays import percentile

CHUNK_BYTES = 32_000
"""A second of 16 kHz mono in 16 bits."""
QUIET_MEETINGS = 50
"""Over so many meetings the listeners are spread."""


class Sample(NamedTuple):
    """One thing that was due at `due_s` of the monotonic clock and took so long from then on.

    `took_ms` is None for what never came.
    """

    due_s: float
    took_ms: float | None


@dataclass(frozen=True, slots=True)
class Load:
    """A load and where it goes.

    `streams`: `count` sockets, each of which sends a chunk a second, and `listeners` sockets that
    follow meetings in which nothing happens. `uploads`: requests over `count` connections, `per_s`
    of them on a fixed schedule, or, where that is 0, each as soon as the one before is answered.
    What was sent may be answered until `drain_s` after the end, and with `awaits_text` get its text
    until then. `prefix` begins the names of the meetings.
    """

    kind: Literal["streams", "uploads"]
    count: int
    seconds: float
    per_s: float = 0.0
    listeners: int = 0
    drain_s: float = 5.0
    awaits_text: bool = False
    address: str = ""
    key: str = ""
    prefix: str = ""

    @property
    def meetings(self) -> list[str]:
        """The meetings that sound is sent to, one a socket or connection."""
        return [f"{self.prefix}-{number}" for number in range(self.count)]

    @property
    def quiet(self) -> list[str]:
        """The meeting of each listener; they must have been started."""
        return [
            f"{self.prefix}-quiet-{number % QUIET_MEETINGS}" for number in range(self.listeners)
        ]

    def moments_s(self, begin_s: float) -> list[float]:
        """Return when a stream that begins then sends its chunks."""
        return [begin_s + number for number in range(int(self.seconds))]

    def to_json(self) -> str:
        """Return it as one line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Load:
        """Read what `to_json` wrote."""
        return cls(**json.loads(text))


@dataclass
class Outcome:
    """What became of a load.

    `late_ms` is how late the sender itself was, each time that it woke to send; `cpu_s` what it
    used. `refusals` counts by HTTP status, or by the code of an error on a socket.
    """

    began_s: float = 0.0
    ended_s: float = 0.0
    cpu_s: float = 0.0
    acks: list[Sample] = field(default_factory=list)
    updates: list[Sample] = field(default_factory=list)
    late_ms: list[float] = field(default_factory=list)
    refusals: Counter[str] = field(default_factory=Counter)

    def to_json(self) -> str:
        """Return it as one line."""
        # A copy of a counter by `asdict` would count its items.
        return json.dumps({each.name: getattr(self, each.name) for each in fields(self)})

    @classmethod
    def from_json(cls, text: str) -> Outcome:
        """Read what `to_json` wrote."""
        content = json.loads(text)
        for name in ("acks", "updates"):
            content[name] = [Sample(*each) for each in content[name]]
        content["refusals"] = Counter(content["refusals"])
        return cls(**content)

    @property
    def acked(self) -> int:
        """How many chunks were acknowledged."""
        return sum(each.took_ms is not None for each in self.acks)

    @property
    def acked_per_s(self) -> float:
        """Chunks acknowledged for each second until the last of them."""
        last_s = max(
            (each.due_s + each.took_ms / 1000 for each in self.acks if each.took_ms is not None),
            default=self.began_s,
        )
        return self.acked / (last_s - self.began_s) if last_s > self.began_s else 0.0

    def ack_ms(self, per_cent: float) -> float | None:
        """Return a percentile of the acknowledgements; see `at_percentile`."""
        return at_percentile(self.acks, per_cent)

    @property
    def is_whole(self) -> bool:
        """Whether everything was acknowledged and nothing refused."""
        return bool(self.acks) and self.acked == len(self.acks) and not self.refusals


def at_percentile(samples: list[Sample], per_cent: float) -> float | None:
    """Return a percentile in ms; None where there is nothing, or where it never came.

    What never came is later than everything else.
    """
    found = percentile(
        (math.inf if each.took_ms is None else each.took_ms for each in samples), per_cent
    )
    return None if found is None or math.isinf(found) else found
