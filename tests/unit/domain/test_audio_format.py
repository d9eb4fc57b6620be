"""First bytes of audio and what is concluded from them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interview_agent.domain.audio_format import (
    SUPPORTED_CODECS,
    container_magic,
    normalise_codec,
    sniff,
    starts_stream,
)

WAV = b"RIFF\xff\xff\xff\xffWAVEfmt \x10\x00\x00\x00"
OGG_BEGIN = b"OggS\x00\x02" + bytes(20)
OGG_LATER = b"OggS\x00\x00" + bytes(20)
WEBM = b"\x1a\x45\xdf\xa3\x9fB\x86\x81\x01" + bytes(20)
FLAC = b"fLaC\x00\x00\x00\x22" + bytes(34)
MP4 = b"\x00\x00\x00\x1cftypM4A \x00\x00\x02\x00" + bytes(12)
MOOF = b"\x00\x00\x00\x60moof" + bytes(20)
ID3 = b"ID3\x04\x00\x00\x00\x00\x01\x7f" + bytes(255)
MP3_FRAME = (b"\xff\xfb\x90\xc4" + bytes(417))[:417]
MP3_XING = (b"\xff\xfb\x90\x44" + bytes(32) + b"Info" + bytes(400))[:417]
MP3_VBRI = (b"\xff\xfb\x90\x44" + bytes(32) + b"VBRI" + bytes(400))[:417]
MPEG2_MONO_XING = (b"\xff\xf3\x40\xc4" + bytes(9) + b"Xing" + bytes(400))[:104]
ADTS_FRAME = b"\xff\xf1\x50\x80\x02\x1f\xfc" + bytes(9)


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (WAV, "wav"),
        (b"RF64" + WAV[4:], "wav"),
        (OGG_BEGIN, "ogg"),
        (OGG_LATER, "ogg"),
        (WEBM, "webm"),
        (FLAC, "flac"),
        (MP4, "mp4"),
        (MOOF, "mp4"),
        (ID3, "mp3"),
        (MP3_FRAME, "mp3"),
        (MP3_FRAME * 2, "mp3"),
        (b"junk" * 30 + MP3_FRAME * 2, "mp3"),
        (MPEG2_MONO_XING * 2, "mp3"),
        (ADTS_FRAME * 3, "aac"),
        (b"", None),
        (b"RIFF", None),
        (b"RIFF\x00\x00\x00\x00AVI LIST", None),
        (b"\xff\xfb\x90\xc4" + bytes(2000), None),
        (b"ffconcat version 1.0\nfile '/etc/hostname'\n", None),
        (b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nm=audio 5004 RTP/AVP 0\n", None),
        (b"#EXTM3U\n#EXTINF:1,\n/etc/hostname\n", None),
        (b"wvpk" + bytes(60), None),
        (bytes(4000), None),
    ],
)
def test_a_container_is_known_by_its_first_bytes(head: bytes, name: str | None) -> None:
    assert sniff(head) == name


@pytest.mark.parametrize("head", [WAV, OGG_BEGIN, WEBM, FLAC, MP4, ID3])
@pytest.mark.parametrize("codec", ["auto", "pcm"])
def test_a_container_header_starts_a_stream_even_if_called_pcm(codec: str, head: bytes) -> None:
    assert starts_stream(codec, head)


@pytest.mark.parametrize("head", [MP3_XING, MP3_VBRI, MPEG2_MONO_XING])
def test_an_mp3_file_header_frame_starts_a_stream_unless_called_pcm(head: bytes) -> None:
    assert starts_stream("auto", head)
    assert not starts_stream("pcm", head)


@pytest.mark.parametrize("head", [OGG_LATER, MOOF, MP3_FRAME, ADTS_FRAME, b"", b"OggS\x00", b"x"])
@pytest.mark.parametrize("codec", ["auto", "pcm"])
def test_anything_else_continues_the_stream_before(codec: str, head: bytes) -> None:
    assert not starts_stream(codec, head)


@given(st.binary(max_size=600))
def test_no_bytes_break_the_sniffing(head: bytes) -> None:
    assert sniff(head) in {None, *SUPPORTED_CODECS}
    assert starts_stream("pcm", head) <= (container_magic(head) is not None)


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("pcm", "pcm"),
        ("PCM_S16LE", "pcm"),
        (" s16le ", "pcm"),
        ("wav", "auto"),
        ("audio/webm;codecs=opus", "auto"),
        ("video/webm", "auto"),
        ("opus", "auto"),
        ("m4a", "auto"),
        ("auto", "auto"),
        ("", "auto"),
        ("wavpack", None),
        ("pcm_f32le", None),
    ],
)
def test_the_names_clients_use_come_down_to_two(name: str, codec: str | None) -> None:
    assert normalise_codec(name) == codec


def test_every_name_that_callers_are_told_is_understood() -> None:
    assert all(normalise_codec(name) for name in SUPPORTED_CODECS)
