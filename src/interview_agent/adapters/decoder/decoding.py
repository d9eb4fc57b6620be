"""libav, told to decode one stream of audio and nothing else; runs in a decoding child only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import av
from av.filter import Graph
from av.stream import Discard

from interview_agent.adapters.decoder.mp3_ending import silence_at_end, without
from interview_agent.adapters.decoder.parts import (
    StreamReader,
    mp4_reader,
    wav_ends_with_first_part,
    wav_samples,
)
from interview_agent.adapters.decoder.wire import (
    AUDIO,
    MESSAGE_SAMPLES,
    SAMPLE_BYTES,
    SAMPLE_RATE,
    RefusalError,
    Wanted,
)
from interview_agent.domain.audio_format import HEAD_BYTES, sniff

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from interview_agent.adapters.decoder.parts import Parts

_DEMUXERS = {
    "wav": "wav",
    "ogg": "ogg",
    "webm": "matroska",
    "mp3": "mp3",
    "mp4": "mov",
    "flac": "flac",
    "aac": "aac",
    "pcm": "s16le",
}
_DECODERS = ("opus", "vorbis", "mp3float", "mp3", "aac", "flac")
_PCM_DECODERS = (
    *("pcm_s16le", "pcm_s16be", "pcm_u8", "pcm_s8", "pcm_s24le", "pcm_s24be", "pcm_s32le"),
    *("pcm_s32be", "pcm_f32le", "pcm_f32be", "pcm_f64le", "pcm_f64be", "pcm_alaw", "pcm_mulaw"),
)
_ALLOWED_DECODERS = frozenset((*_DECODERS, *_PCM_DECODERS))
_RATES_HZ = range(4_000, 768_001)
_MAX_CHANNELS = 32
_PROBE_BYTES = 4_096
_MAX_BROKEN_READS = 64


class Outlet:
    """Sends samples to the parent in messages of a second or less, and counts them."""

    def __init__(self, parent: socket.socket, max_samples: int) -> None:
        self.samples = 0
        self._parent = parent
        self._max_samples = max_samples
        self._held = bytearray()

    def write(self, samples: memoryview) -> None:
        """Take int16 samples as bytes; past the cap send up to it and raise `RefusalError`."""
        room = self._max_samples - self.samples
        taken = min(room, len(samples) // SAMPLE_BYTES)
        self._held += samples[: taken * SAMPLE_BYTES]
        self.samples += taken
        while len(self._held) >= MESSAGE_SAMPLES * SAMPLE_BYTES:
            self._send(MESSAGE_SAMPLES * SAMPLE_BYTES)
        if taken * SAMPLE_BYTES < len(samples):
            self.flush()
            seconds = self._max_samples // SAMPLE_RATE
            raise RefusalError("too_long", f"The audio is longer than {seconds} s.")

    def flush(self) -> None:
        """Send what is held back."""
        if self._held:
            self._send(len(self._held))

    def _send(self, size_bytes: int) -> None:
        self._parent.send(AUDIO + self._held[:size_bytes])
        del self._held[:size_bytes]


class Mouthpiece:
    """Turns frames of any rate and layout into mono at SAMPLE_RATE: one channel, or their mean."""

    def __init__(self, outlet: Outlet, channel: int | None) -> None:
        self._outlet = outlet
        self._channel = channel
        self._shape: tuple[Any, ...] | None = None
        self._entry: Any = None
        self._exit: Any = None
        self._graph: Any = None

    def write(self, frame: Any) -> None:
        """Resample one frame; its time stamps are ignored, as the samples are one run."""
        shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        if shape != self._shape:
            self.flush()
            self._build(frame)
            self._shape = shape
        frame.pts = None
        self._entry.push(frame)
        self._drain()

    def flush(self) -> None:
        """Write what the resampler holds back; the next frame starts afresh."""
        if self._shape is not None:
            self._entry.push(None)
            self._drain()
            self._shape = None

    def _build(self, frame: Any) -> None:
        channels, rate = frame.layout.nb_channels, frame.sample_rate
        if rate not in _RATES_HZ or not 0 < channels <= _MAX_CHANNELS:
            raise RefusalError(
                "unsupported", f"{channels} channels at {rate} Hz are not supported."
            )
        if self._channel is not None and self._channel >= channels:
            raise RefusalError("no_channel", f"There is no channel {self._channel} of {channels}.")
        graph = Graph()
        graph.threads = 1
        self._entry = graph.add(
            "abuffer",
            sample_rate=str(rate),
            sample_fmt=frame.format.name,
            channel_layout=frame.layout.name,
            time_base=f"1/{rate}",
        )
        nodes = [self._entry]
        if self._channel is not None and channels > 1:
            nodes.append(graph.add("pan", f"mono|c0=c{self._channel}"))
        # The very chain of faster-whisper's own reader: its recogniser writes other words for
        # noisy sound that differs in the last bit.
        nodes.append(
            graph.add(
                "aformat", sample_fmts="s16", sample_rates=str(SAMPLE_RATE), channel_layouts="mono"
            )
        )
        self._exit = graph.add("abuffersink")
        graph.link_nodes(*nodes, self._exit).configure()
        self._graph = graph

    def _drain(self) -> None:
        while True:
            try:
                frame = self._exit.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            # A plane may be padded beyond its samples.
            self._outlet.write(memoryview(frame.planes[0])[: frame.samples * SAMPLE_BYTES])


def decode(parts: Parts, wanted: Wanted, outlet: Outlet) -> None:
    """Decode a whole stream into `outlet`. Raises `RefusalError`, `ParentGoneError`."""
    head = parts.head(HEAD_BYTES)
    container = _open(parts, head, wanted)
    stream = _only_audio(container)
    mouthpiece = Mouthpiece(outlet, wanted.channel)
    packets = _packets(container, stream)
    silence = silence_at_end(head) if container.format.name == "mp3" else None
    if silence:
        packets = without(packets, silence, stream.codec_context.sample_rate)
    for packet in packets:
        try:
            frames = packet.decode()
        except MemoryError:
            raise
        except (av.FFmpegError, ValueError):
            continue
        for frame in frames:
            mouthpiece.write(frame)
    mouthpiece.flush()
    outlet.flush()
    # The last slice of a recorder may be a wav that says itself that it holds nothing.
    is_empty = container.format.name == "wav" and wav_samples(head) == range(0)
    if not outlet.samples and not is_empty:
        raise RefusalError("undecodable", "There is no audio in it.")


def _open(parts: Parts, head: bytes, wanted: Wanted) -> Any:
    kind = "pcm" if wanted.codec == "pcm" else sniff(head)
    if kind is None:
        raise RefusalError("undecodable", "The bytes are no audio that is known here.")
    demuxer = _DEMUXERS[kind]
    options = {
        "format_whitelist": demuxer,
        "protocol_whitelist": "none",
        "codec_whitelist": ",".join(sorted(_ALLOWED_DECODERS)),
        "probesize": str(_PROBE_BYTES),
    }
    if kind == "pcm":
        options |= {"sample_rate": str(wanted.sample_rate), "ch_layout": f"{wanted.channels}c"}
    elif kind == "wav" and wav_ends_with_first_part(parts, head):
        options["ignore_length"] = "1"
    reader = mp4_reader(parts) if kind == "mp4" else StreamReader(parts)
    try:
        return av.open(
            reader,
            "r",
            format=demuxer,
            options=options,
            metadata_errors="ignore",
            io_open=_refuse_to_open,
        )
    except MemoryError:
        raise
    except (av.FFmpegError, ValueError) as error:
        raise RefusalError("undecodable", "The audio has no readable beginning.") from error


def _refuse_to_open(url: str, _flags: int, _options: dict[str, str]) -> NoReturn:
    """Answer every wish of a demuxer for another file or address."""
    raise PermissionError(url)


def _only_audio(container: Any) -> Any:
    """Return audio stream 0 and have the demuxer throw everything else away."""
    if not container.streams.audio:
        raise RefusalError("unsupported", "There is no audio track in it.")
    stream = container.streams.audio[0]
    for other in container.streams:
        if other is not stream:
            other.discard = Discard.all
    if stream.codec_context is None or stream.codec_context.codec.name not in _ALLOWED_DECODERS:
        raise RefusalError("unsupported", "The codec of the audio track is not supported.")
    stream.codec_context.thread_count = 1
    return stream


def _packets(container: Any, stream: Any) -> Iterator[Any]:
    """Yield packets to the end, the flushing one last, and go on after a broken place."""
    broken_reads = 0
    while True:
        try:
            for packet in container.demux(stream):
                broken_reads = 0
                yield packet
        except (MemoryError, PermissionError):
            raise
        except av.FFmpegError as error:
            broken_reads += 1
            if broken_reads > _MAX_BROKEN_READS:
                raise RefusalError("undecodable", "The audio is broken from here on.") from error
        else:
            return
