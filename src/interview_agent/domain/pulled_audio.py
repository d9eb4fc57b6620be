"""Sound that is pulled from a gateway: the names and the numbers that it gets here."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from interview_agent.domain.ids import MAX_SEQ

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOM = ""
"""Stands for a participant where the sound is that of the whole room."""

ROOM_TRACK = "room"
_LONGEST_KEY = 200


@dataclass(frozen=True, slots=True)
class GatewayNumber:
    """How a gateway numbers a chunk; `seq` is None where it does not. `key` names the chunk."""

    key: str
    epoch: int
    seq: int | None


@dataclass(frozen=True, slots=True)
class TrackNumbering:
    """How the numbers of a gateway become those of a track, as long as a bot is the same.

    That is in one `join_epoch`, by our count of bots, and one `epoch`, by the gateway's, which may
    not count them but number anew. Numbers below `floor_seq` were given before.
    """

    join_epoch: int
    epoch: int
    base_seq: int
    floor_seq: int

    def seq_of(self, number: GatewayNumber) -> int | None:
        """Return the number on the track; None: it belongs to an older epoch or is too large."""
        if number.seq is None or number.epoch != self.epoch:
            return None
        seq = self.base_seq + number.seq
        return seq if self.floor_seq <= seq <= MAX_SEQ else None


def track_of(participant_id: str) -> str:
    """Name the track of a participant, the same for ever; `ROOM` has one too."""
    if participant_id == ROOM:
        return ROOM_TRACK
    digest = hashlib.sha256(participant_id.encode(errors="surrogatepass")).hexdigest()
    return f"p-{digest[:12]}"


def key_of(chunk_id: str) -> str:
    """Return the idempotency key of a chunk: its id, or a digest of one that cannot be stored."""
    if len(chunk_id) <= _LONGEST_KEY and chunk_id.isprintable():
        return chunk_id
    return f"sha256-{hashlib.sha256(chunk_id.encode(errors='surrogatepass')).hexdigest()}"


def number_chunks(
    numbers: Sequence[GatewayNumber],
    numbering: TrackNumbering | None,
    *,
    join_epoch: int,
    known: Mapping[str, int],
    highest: int | None,
) -> tuple[list[int | None], TrackNumbering | None]:
    """Number the chunks of one track in their order; return that and the numbering from now on.

    What a new bot hears comes behind what is there; on a track without any chunk the numbers of
    the gateway stay as they are.
    `known` has the numbers of stored chunks by key, `highest` is the highest of all. A chunk that
    was numbered before keeps its number; one that the gateway did not number gets the next. None
    for a chunk that has no place any more.
    """
    found = dict(known)
    given: list[int | None] = []
    for number in numbers:
        if number.key not in found:
            epochs = (join_epoch, number.epoch)
            if numbering is None or epochs > (numbering.join_epoch, numbering.epoch):
                floor_seq = _next(highest)
                first = _lowest(numbers, number.epoch, known) if floor_seq else 0
                numbering = TrackNumbering(*epochs, floor_seq - first, floor_seq)
            seq = _next(highest) if number.seq is None else numbering.seq_of(number)
            if seq is None or seq > MAX_SEQ:
                given.append(None)
                continue
            found[number.key] = seq
            highest = seq if highest is None else max(highest, seq)
        given.append(found[number.key])
    return given, numbering


def _next(highest: int | None) -> int:
    return 0 if highest is None else highest + 1


def _lowest(numbers: Sequence[GatewayNumber], epoch: int, known: Mapping[str, int]) -> int:
    return min(
        (
            each.seq
            for each in numbers
            if each.seq is not None and each.epoch == epoch and each.key not in known
        ),
        default=0,
    )
