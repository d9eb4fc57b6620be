"""Bounds of sockets: how many, how large, how patient."""

from __future__ import annotations

from dataclasses import dataclass

MAX_MESSAGE_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Patience:
    """How long one socket waits, in seconds.

    `hello_s`: for the first message. `ping_every_s`: between our pings. `silence_s`: for any sign
    of life. `send_s`: for the client to read. `no_audio_s`: for a frame of an open session, before
    the client is alerted. `finish_s`: for what runs when the process stops. `farewell_s`: to make
    buffered audio durable and send what is owed at the end. `close_s`: for the client's side of the
    close. `tick_s`: between looks at all of this.
    """

    hello_s: float = 30.0
    ping_every_s: float = 20.0
    silence_s: float = 45.0
    send_s: float = 10.0
    no_audio_s: float = 10.0
    finish_s: float = 5.0
    farewell_s: float = 10.0
    close_s: float = 5.0
    tick_s: float = 1.0


@dataclass(frozen=True, slots=True)
class SocketLimits:
    """What sockets may ask of this process.

    `captions` says whether chunks are captioned while they come; without, they go straight to
    transcription.
    """

    max_sockets: int = 1000
    max_message_bytes: int = MAX_MESSAGE_BYTES
    captions: bool = True
    patience: Patience = Patience()
