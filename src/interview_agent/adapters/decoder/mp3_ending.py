"""The end of an mp3, which libav cuts off in files and forgets in streams."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_MPEG1 = 3
_MONO = 3
_HAS_FRAMES, _HAS_BYTES, _HAS_PLACES, _HAS_QUALITY = 1, 2, 4, 8
_DELAYS_OFFSET = 21
_ENCODERS = (b"LAME", b"Lavf", b"Lavc")
_DECODER_DELAY = 529
_SKIPPED = struct.Struct("<IIBB")


def silence_at_end(head: bytes) -> range | None:
    """Return the samples that the encoder added behind the sound, None if it does not say so.

    `head` is the beginning of the stream. Samples are counted from the first frame of sound, at
    the stream's own rate, as libav does (libavformat/mp3dec.c, mp3_parse_info_tag); the layout is
    that of the LAME tag, revision 1.
    """
    at = _id3_bytes(head)
    if len(head) < at + 4 or head[at] != 0xFF:
        return None
    mpeg1, mono = head[at + 1] >> 3 & 3 == _MPEG1, head[at + 3] >> 6 == _MONO
    at += 4 + ((17 if mono else 32) if mpeg1 else (9 if mono else 17))
    if head[at : at + 4] not in {b"Xing", b"Info"}:
        return None
    flags = int.from_bytes(head[at + 4 : at + 8], "big")
    frames = int.from_bytes(head[at + 8 : at + 12], "big") if flags & _HAS_FRAMES else 0
    fields = ((_HAS_FRAMES, 4), (_HAS_BYTES, 4), (_HAS_PLACES, 100), (_HAS_QUALITY, 4))
    at += 8 + sum(size for flag, size in fields if flags & flag)
    delays = head[at + _DELAYS_OFFSET : at + _DELAYS_OFFSET + 3]
    if not frames or head[at : at + 4] not in _ENCODERS or len(delays) < 3:
        return None
    padding = int.from_bytes(delays, "big") & 0xFFF
    end = frames * (1152 if mpeg1 else 576)
    return range(end - max(padding - _DECODER_DELAY, 0), end)


def without(packets: Iterable[Any], silence: range, rate_hz: int) -> Iterator[Any]:
    """Yield the packets, telling the decoder to drop what lies in `silence`."""
    order: Any = None
    for packet in packets:
        if packet.pts is not None and packet.duration:
            per_tick = packet.time_base * rate_hz
            begin, end = packet.pts * per_tick, (packet.pts + packet.duration) * per_tick
            if order is None:
                # libav's Python face cannot make such an order, only copy the one at the start.
                order = packet.get_sidedata("skip_samples")
            elif end >= silence.start and begin < silence.stop and order.buffer_size:
                surplus = min(end - silence.start, packet.duration * per_tick)
                order.update(_SKIPPED.pack(0, int(surplus), 0, 0))
                packet.set_sidedata(order)
        yield packet


def _id3_bytes(head: bytes) -> int:
    """Length of a leading ID3v2 tag (id3.org, id3v2.4.0 section 3.1), 0 if there is none."""
    if head[:3] != b"ID3" or len(head) < 10:
        return 0
    size = head[6:10]
    return 10 + (size[0] << 21 | size[1] << 14 | size[2] << 7 | size[3])
