"""What the decoding children and their parent say to each other, over SOCK_SEQPACKET sockets.

Imported by the children, so nothing heavy may be imported here.
"""

from __future__ import annotations

from dataclasses import dataclass

SAMPLE_RATE = 16_000
"""Samples a second of what the children send."""

SAMPLE_BYTES = 2
"""Bytes of one int16 sample in native byte order."""

MESSAGE_SAMPLES = SAMPLE_RATE
"""Most samples in one message: one second, well below the kernel's limit for a message."""

MESSAGE_BYTES = 1 + MESSAGE_SAMPLES * SAMPLE_BYTES
"""Length of the longest message."""

READY = b"Y"
"""From the nursery, once: it has loaded what it needs."""

PART = b"P"
"""To the child: here is the next part, its file descriptor comes along."""

LAST = b"L"
"""To the child: no part follows."""

AUDIO = b"A"
"""From the child: samples follow in the same message."""

MORE = b"M"
"""From the child: all output so far is sent, the next part is wanted."""

DONE = b"D"
"""From the child: the stream has ended and all output is sent."""

REFUSED = b"R"
"""From the child: a reason and a sentence follow, parted by a line break; it ends itself."""


UNREADABLE = "unreadable"
"""The reason of a refusal that says nothing of the audio: its file could not be read."""


class RefusalError(Exception):
    """The stream cannot be decoded (any further); carries a stable reason and a sentence."""

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        self.message = message
        super().__init__(f"{reason}: {message}")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one stream is and what is wanted of it; `codec` is `pcm` or `auto`."""

    codec: str
    sample_rate: int
    channels: int
    channel: int | None
    max_samples: int
