"""What the first bytes of some audio say about its container."""

from __future__ import annotations

HEAD_BYTES = 65_536
"""How many leading bytes are worth giving to `sniff` and `starts_stream`."""

SUPPORTED_CODECS = ("pcm", "auto", "wav", "mp3", "ogg", "opus", "webm", "m4a", "mp4", "flac", "aac")
"""The names that callers are told; `auto` and every container name mean: the bytes decide."""

_PCM_NAMES = frozenset(
    {"pcm", "pcm16", "pcm_s16", "pcm_s16le", "s16", "s16le", "l16", "linear16", "raw"}
)
_CONTAINER_NAMES = frozenset(
    {
        *("auto", "wav", "wave", "x-wav", "mp3", "mpeg", "mpga", "ogg", "oga", "opus", "vorbis"),
        *("webm", "matroska", "mka", "m4a", "x-m4a", "mp4", "mov", "3gp", "aac", "flac", "x-flac"),
    }
)

_EBML = b"\x1a\x45\xdf\xa3"
_WEBM_SEGMENT = b"\x18\x53\x80\x67"
_WEBM_CLUSTER = b"\x1f\x43\xb6\x75"
_UNKNOWN_SIZES = (b"\xff", b"\x01" + b"\xff" * 7)
_OGG_BEGIN_FLAG = 0x02

_MPEG1_L3_KBPS = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_MPEG2_L3_KBPS = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_MPEG1_RATES_HZ = (44_100, 48_000, 32_000)
_ADTS_RATE_INDEXES = 13
_MONO = 3


def normalise_codec(name: str) -> str | None:
    """Return `pcm` (s16le) or `auto` (the container decides) for a client's name, None if unknown.

    A media type such as `audio/webm;codecs=opus` is understood as well.
    """
    short = name.strip().lower().partition(";")[0].strip().removeprefix("audio/")
    short = short.removeprefix("video/")
    if short in _PCM_NAMES:
        return "pcm"
    return "auto" if short == "" or short in _CONTAINER_NAMES else None


def container_magic(head: bytes) -> str | None:
    """Name the container whose unmistakable header `head` begins with, else None.

    `head` is the beginning of the bytes, 12 at least. A bare MPEG frame is not unmistakable: raw
    samples may look like it.
    """
    if head[:4] in {b"RIFF", b"RF64"} and head[8:12] == b"WAVE":
        return "wav"
    if head[:4] == b"OggS" and head[4:5] == b"\x00":
        return "ogg"
    if head[:4] == _EBML:
        return "webm"
    if head[:4] == b"fLaC":
        return "flac"
    if head[4:8] == b"ftyp" and 8 <= int.from_bytes(head[:4], "big") <= 1024:
        return "mp4"
    return "mp3" if _id3_size(head) is not None else None


def sniff(head: bytes) -> str | None:
    """Name the container of `head`: wav, ogg, webm, mp3, mp4, flac, aac; None when it is none.

    `head` is the beginning of a stream, up to HEAD_BYTES; mp3 and aac frames are also found behind
    some junk, which is what a stream that lost its first bytes looks like.
    """
    magic = container_magic(head)
    if magic is not None:
        return magic
    if head[4:8] in {b"moof", b"styp", b"moov", b"sidx"}:
        return "mp4"
    return _frames_in(head)


def starts_stream(codec: str, head: bytes) -> bool:
    """Say whether a chunk beginning with `head` starts a new stream or continues the one before.

    `codec` is `pcm` or `auto`; an unmistakable container wins over `pcm`, since clients mislabel.
    """
    magic = container_magic(head)
    if magic == "ogg":
        return bool(head[5:6]) and bool(head[5] & _OGG_BEGIN_FLAG)
    if magic is not None:
        return True
    return codec != "pcm" and _begins_with_vbr_header(head)


def live_webm_preface(head: bytes) -> bytes:
    """Return what stands before the first cluster of a live webm, empty if `head` begins none.

    Recorders send it once, but some clients put it before every later slice, which begins anywhere.
    A live webm is one whose segment has no size (RFC 8794, 6.2; RFC 9559, 23.3).
    """
    segment = head.find(_WEBM_SEGMENT)
    size = head[segment + len(_WEBM_SEGMENT) :]
    if container_magic(head) != "webm" or segment < 0 or not size.startswith(_UNKNOWN_SIZES):
        return b""
    preface, _, _ = head.partition(_WEBM_CLUSTER)
    return preface


def _id3_size(head: bytes) -> int | None:
    """Length in bytes of an ID3v2 tag (id3.org, id3v2.4.0 section 3.1), None if there is none."""
    if head[:3] != b"ID3" or len(head) < 10:
        return None
    size = head[6:10]
    if head[3] not in {2, 3, 4} or head[4] == 0xFF or any(byte & 0x80 for byte in size):
        return None
    return 10 + (size[0] << 21 | size[1] << 14 | size[2] << 7 | size[3])


def _mp3_frame_bytes(head: bytes, at: int) -> int:
    """Length of the MPEG layer III frame at `at` (ISO 11172-3, 2.4.1.3); 0 if there is none."""
    if at + 4 > len(head) or head[at] != 0xFF or head[at + 1] & 0xE6 != 0xE2:
        return 0
    version, rate_index = head[at + 1] >> 3 & 3, head[at + 2] >> 2 & 3
    kbps_index, padding = head[at + 2] >> 4, head[at + 2] >> 1 & 1
    if version == 1 or rate_index == 3 or kbps_index in {0, 15}:
        return 0
    if version == 3:
        return 144_000 * _MPEG1_L3_KBPS[kbps_index] // _MPEG1_RATES_HZ[rate_index] + padding
    rate_hz = _MPEG1_RATES_HZ[rate_index] >> (1 if version == 2 else 2)
    return 72_000 * _MPEG2_L3_KBPS[kbps_index] // rate_hz + padding


def _adts_frame_bytes(head: bytes, at: int) -> int:
    """Length of the ADTS frame at `at` (ISO 14496-3, 1.A.2.2); 0 if there is none."""
    if at + 6 > len(head) or head[at] != 0xFF or head[at + 1] & 0xF6 != 0xF0:
        return 0
    if head[at + 2] >> 2 & 15 >= _ADTS_RATE_INDEXES:
        return 0
    size = (head[at + 3] & 3) << 11 | head[at + 4] << 3 | head[at + 5] >> 5
    return size if size > 7 else 0


def _frames_in(head: bytes) -> str | None:
    """Name the frame kind of which one frame stands at 0, or two in a row stand anywhere."""
    at = 0
    while (at := head.find(b"\xff", at)) >= 0:
        for name, frame_bytes in (("mp3", _mp3_frame_bytes), ("aac", _adts_frame_bytes)):
            size = frame_bytes(head, at)
            follower = size and frame_bytes(head, at + size)
            alone = size and at == 0 and at + size + 6 > len(head)
            if follower or alone:
                return name
        at += 1
    return None


def _begins_with_vbr_header(head: bytes) -> bool:
    """Say whether the first frame is the one that encoders put before a file's audio.

    Xing and Info stand behind the side information, whose length depends on version and channels;
    VBRI stands 32 bytes behind the frame header.
    """
    if not _mp3_frame_bytes(head, 0):
        return False
    mono, version = head[3] >> 6 == _MONO, head[1] >> 3 & 3
    side_bytes = (17 if mono else 32) if version == 3 else (9 if mono else 17)
    crc_bytes = 0 if head[1] & 1 else 2
    at = 4 + crc_bytes + side_bytes
    return head[at : at + 4] in {b"Xing", b"Info"} or head[36:40] == b"VBRI"
