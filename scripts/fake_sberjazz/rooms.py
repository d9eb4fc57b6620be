"""Meetings as a gateway knows them: the bots it sent, who is there, what was said."""

from __future__ import annotations

import base64
import hashlib
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fake_sberjazz.voices import Voice

ALIVE = ("joining", "lobby", "in_room", "active", "interrupted")
HEARING = ("in_room", "active")
GONE = "gone"
"""The state of a bot that the gateway has forgotten."""


@dataclass
class Bot:
    """One bot that was sent; `state` and `reason` are words of the contract."""

    meeting_id: str
    epoch: int
    key: str | None
    order: dict[str, Any]
    state: str = "active"
    reason: str | None = None
    said: dict[str, int] = field(default_factory=dict)

    @property
    def alive(self) -> bool:
        """Whether it is in the room or on its way."""
        return self.state in ALIVE

    @property
    def session_id(self) -> str:
        """The name of this bot."""
        return f"{self.meeting_id}-{self.epoch}"


@dataclass
class Room:
    """One meeting. Time in it starts with the first bot and passes `pace` times as fast as ours.

    `voices` speak from the beginning; only what is said while a bot hears it gets into `log`,
    whose entries make chunks. A cursor counts entries in one `generation`.
    """

    meeting_id: str
    voices: Sequence[Voice] = ()
    participants: list[dict[str, Any]] | None = None
    delivery: str = "pull"
    pace: float = 1.0
    clock: Callable[[], float] = time.monotonic
    bots: list[Bot] = field(default_factory=list)
    log: list[Callable[[], dict[str, Any]]] = field(default_factory=list)
    generation: int = 1
    began_s: float | None = None
    spoken: list[int] = field(default_factory=list)

    @property
    def bot(self) -> Bot | None:
        """The bot that was sent last, unless it was forgotten."""
        return self.bots[-1] if self.bots and self.bots[-1].state != GONE else None

    def send_bot(self, key: str | None, order: dict[str, Any], state: str) -> Bot:
        """Send one more bot."""
        self.listen()
        if self.began_s is None:
            self.began_s = self.clock()
        bot = Bot(self.meeting_id, len(self.bots) + 1, key, order, state)
        self.bots.append(bot)
        return bot

    def put(self, state: str, reason: str | None = None) -> None:
        """Bring the living bots into another state; `gone` makes the gateway forget all."""
        self.listen()
        for bot in self.bots:
            if bot.alive or state == GONE:
                bot.state, bot.reason = state, reason

    def listen(self) -> None:
        """Take down what was said since the last time."""
        if self.began_s is None:
            return
        now_ms = (self.clock() - self.began_s) * 1000 * self.pace
        self.spoken += [0] * (len(self.voices) - len(self.spoken))
        due = sorted(
            (voice.end_ms(number), speaker, number)
            for speaker, voice in enumerate(self.voices)
            for number in range(self.spoken[speaker], voice.chunks)
            if voice.end_ms(number) <= now_ms
        )
        for _, speaker, number in due:
            self.spoken[speaker] = number + 1
            bot = self.bot
            if bot is not None and bot.state in HEARING:
                self._take_down(bot, self.voices[speaker], number)

    def say(self, audio: bytes, participant_id: str | None = None, **fields: Any) -> None:
        """Let somebody say something now; `fields` replace what would stand in the chunk."""
        bot = self.bot
        if bot is None:
            return
        seq = self._next_seq(bot, participant_id)
        participant = None if participant_id is None else self._participant(participant_id)
        chunk = self._chunk(bot, audio, participant, seq) | fields
        self.log.append(lambda: chunk)

    def add(self, *chunks: dict[str, Any]) -> None:
        """Add chunks exactly as they are."""
        self.log += [lambda chunk=chunk: chunk for chunk in chunks]

    def page(self, cursor: str | None, limit: int, *, repeats: int = 0) -> dict[str, Any]:
        """Return what follows a cursor, from the beginning when the cursor is unknown.

        `repeats` chunks before the cursor are given once more.
        """
        self.listen()
        generation, _, position = (cursor or "").partition(".")
        is_known = generation == f"g{self.generation}" and position.isdecimal()
        first = min(int(position), len(self.log)) if is_known else 0
        entries = self.log[max(first - repeats, 0) : first + limit]
        if first == len(self.log):
            entries = []
        return {
            "chunks": [entry() for entry in entries],
            "next_cursor": f"g{self.generation}.{min(first + limit, len(self.log))}",
        }

    def people(self) -> list[dict[str, Any]]:
        """Return who is there."""
        if self.participants is not None:
            return self.participants
        return [{"id": voice.participant_id, "name": voice.name} for voice in self.voices]

    def _participant(self, participant_id: str) -> dict[str, Any]:
        known = {each["id"]: each for each in self.people()}
        return known.get(participant_id, {"id": participant_id, "name": participant_id})

    def _take_down(self, bot: Bot, voice: Voice, number: int) -> None:
        seq = self._next_seq(bot, voice.participant_id)
        participant = self._participant(voice.participant_id)
        form = {
            "sample_rate": voice.sample_rate,
            "channels": voice.channels,
            "duration_ms": voice.length_ms(number),
        }
        taken_ms = int(time.time() * 1000) - voice.length_ms(number)

        def entry() -> dict[str, Any]:
            chunk = self._chunk(bot, voice.chunk(number), participant, seq)
            return chunk | form | {"captured_at_ms": taken_ms}

        self.log.append(entry)

    def _next_seq(self, bot: Bot, participant_id: str | None) -> int:
        who = participant_id or ""
        bot.said[who] = bot.said.get(who, -1) + 1
        return bot.said[who]

    def _chunk(
        self, bot: Bot, audio: bytes, participant: dict[str, Any] | None, seq: int
    ) -> dict[str, Any]:
        who = participant["id"] if participant else "room"
        return {
            "id": f"{bot.session_id}:{who}:{seq}",
            "seq": seq,
            "epoch": bot.epoch,
            "content_b64": base64.b64encode(audio).decode(),
            "codec": "pcm",
            "sample_rate": 16_000,
            "channels": 1,
            "sha256": hashlib.sha256(audio).hexdigest(),
            "participant": participant,
        }


def session_of(room: Room, bot: Bot) -> dict[str, Any]:
    """Return what the contract says of a bot."""
    state, reason = ("ended", "lost") if bot.state == GONE else (bot.state, bot.reason)
    return {
        "session_id": bot.session_id,
        "state": state,
        "reason": reason,
        "epoch": bot.epoch,
        "participants": room.people(),
        "audio": {"delivery": room.delivery, "tracks": len(room.people())},
        "heartbeat_at": datetime.now(UTC).isoformat() if bot.alive else None,
    }
