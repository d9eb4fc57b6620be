"""How frames become chunks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from interview_agent.domain.audio_format import starts_stream
from interview_agent.domain.frames import CHUNK_MAX_BYTES, FrameBuffer, pcm_bytes_per_s

if TYPE_CHECKING:
    from collections.abc import Sequence

WEBM = b"\x1a\x45\xdf\xa3 a header of a stream"
PCM_BYTES_PER_S = 32_000


def pcm_buffer(first_frame: int = 0) -> FrameBuffer:
    return FrameBuffer(first_frame, codec="pcm", pcm_bytes_per_s=PCM_BYTES_PER_S, chunk_s=0.25)


def container_buffer() -> FrameBuffer:
    return FrameBuffer(0, codec="auto", pcm_bytes_per_s=None, chunk_s=0.25)


def test_pcm_is_due_by_its_own_length() -> None:
    buffer = pcm_buffer(first_frame=7)
    for _ in range(12):
        buffer.add(bytes(640), 0.0)
    assert buffer.due_in_s(0.0) > 0
    buffer.add(bytes(640), 0.0)
    assert buffer.due_in_s(0.0) == 0
    joined = buffer.take()
    assert (joined.first_frame, joined.last_frame, len(joined.audio)) == (7, 19, 13 * 640)
    assert not buffer


def test_frames_wait_for_others_only_so_long() -> None:
    buffer = container_buffer()
    buffer.add(b"slice", 10.0)
    buffer.add(b"slice", 10.2)
    assert 0.04 < buffer.due_in_s(10.2) < 0.06
    assert buffer.due_in_s(10.25) == 0
    buffer.take()
    buffer.add(b"slice", 10.3)
    assert buffer.due_in_s(10.3) > 0.2


def test_a_header_ends_the_chunk_before_it_at_once() -> None:
    buffer = container_buffer()
    for frame in (WEBM, b"one", WEBM, b"two"):
        buffer.add(frame, 0.0)
    assert buffer.due_in_s(0.0) == 0
    assert buffer.take().audio == WEBM + b"one"
    assert buffer.due_in_s(0.0) > 0
    assert buffer.take().audio == WEBM + b"two"


def test_a_frame_larger_than_a_chunk_stands_alone() -> None:
    buffer = container_buffer()
    for size in (10, CHUNK_MAX_BYTES + 1, 10):
        buffer.add(bytes(size), 0.0)
    assert buffer.due_in_s(0.0) == 0
    sizes = [len(buffer.take().audio) for _ in range(3)]
    assert sizes == [10, CHUNK_MAX_BYTES + 1, 10]


def test_the_length_of_a_second_is_known_of_pcm_alone() -> None:
    assert pcm_bytes_per_s("pcm", 48_000, 2) == 192_000
    assert pcm_bytes_per_s("auto", 48_000, 2) is None


FRAMES = st.one_of(
    st.binary(min_size=1, max_size=40),
    st.just(WEBM),
    st.sampled_from([bytes(1000), bytes(100_000), bytes(CHUNK_MAX_BYTES + 1)]),
)


@given(st.lists(st.tuples(FRAMES, st.booleans()), max_size=60), st.sampled_from(["pcm", "auto"]))
def test_whatever_the_cuts_nothing_is_lost_or_doubled(
    frames: Sequence[tuple[bytes, bool]], codec: str
) -> None:
    rate = PCM_BYTES_PER_S if codec == "pcm" else None
    buffer = FrameBuffer(5, codec=codec, pcm_bytes_per_s=rate, chunk_s=0.25)
    chunks = []
    for number, (audio, take_now) in enumerate(frames):
        buffer.add(audio, number * 0.01)
        if take_now:
            chunks.append(buffer.take())
    while buffer:
        chunks.append(buffer.take())
    assert b"".join(chunk.audio for chunk in chunks) == b"".join(audio for audio, _ in frames)
    sent = [audio for audio, _ in frames]
    next_frame = 5
    for chunk in chunks:
        assert chunk.first_frame == next_frame
        next_frame = chunk.last_frame + 1
        inside = sent[chunk.first_frame - 5 : next_frame - 5]
        assert chunk.audio == b"".join(inside)
        assert len(chunk.audio) <= CHUNK_MAX_BYTES or len(inside) == 1
        assert not any(starts_stream(codec, frame) for frame in inside[1:])
    assert next_frame == 5 + len(frames)
