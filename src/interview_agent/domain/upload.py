"""What a sender says about audio: where it belongs and how it is to be heard."""

from __future__ import annotations

from dataclasses import dataclass

from interview_agent.domain.audio_format import SUPPORTED_CODECS, normalise_codec
from interview_agent.domain.errors import ValidationFailed
from interview_agent.domain.ids import DEFAULT_TRACK, MAX_SEQ, check_name

MAX_CHANNELS = 8
MAX_LIVE_CHANNELS = 2
MIN_SAMPLE_RATE = 4_000
MAX_SAMPLE_RATE = 384_000
PCM_SAMPLE_BYTES = 2


@dataclass(frozen=True, slots=True)
class AudioForm:
    """How uploaded audio is to be heard.

    `split_channels` makes a track of each of `channels` channels, named by `channel_tracks` or
    `<track>-0`, `<track>-1`, …. `live` captions the tracks while their audio comes.
    """

    codec: str = "pcm"
    sample_rate: int = 16_000
    channels: int = 1
    split_channels: bool = False
    channel_tracks: tuple[str, ...] = ()
    speaker_hint: str | None = None
    live: bool = False


@dataclass(frozen=True, slots=True)
class PullMark:
    """The right under which a chunk was pulled, and where the cursor stands once it is accepted.

    A `cursor` of None stays where it is.
    """

    fence: int
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Upload:
    """Where uploaded audio belongs: the number `seq` on a track of a meeting.

    What a live session stores names its `frames`, first and last, and the `session_id` that it
    has the track under. What was pulled from a gateway has the mark of its `pull`. Without `wake`
    no worker is told, since one is known to look.
    """

    meeting_id: str
    seq: int
    track: str = DEFAULT_TRACK
    form: AudioForm = AudioForm()
    idempotency_key: str | None = None
    trace_id: str | None = None
    frames: tuple[int, int] | None = None
    session_id: str | None = None
    pull: PullMark | None = None
    wake: bool = True

    @property
    def channel_tracks(self) -> tuple[str, ...]:
        """The track of each channel; empty where all are heard as one."""
        if not self.form.split_channels:
            return ()
        return self.form.channel_tracks or split_names(self.track, self.form.channels)


def split_names(track: str, channels: int) -> tuple[str, ...]:
    """Name the tracks that the channels of a track become."""
    return tuple(f"{track}-{channel}" for channel in range(channels))


def codec_of(form: AudioForm) -> str:
    """Return `pcm` or `auto`. Raises `ValidationFailed` for a codec that nobody decodes."""
    codec = normalise_codec(form.codec)
    if codec is None:
        message = f"codec must be one of {', '.join(sorted(SUPPORTED_CODECS))}"
        raise ValidationFailed.at("codec", message=message, kind="codec")
    return codec


def check_upload(upload: Upload) -> None:
    """Raise `ValidationFailed` unless this audio can be stored and heard."""
    check_name(upload.meeting_id, "meeting_id")
    check_name(upload.track, "track")
    form = upload.form
    limits = (
        ("seq", upload.seq, 0, MAX_SEQ),
        ("channels", form.channels, 1, MAX_CHANNELS),
        ("sample_rate", form.sample_rate, MIN_SAMPLE_RATE, MAX_SAMPLE_RATE),
    )
    errors = [
        {"loc": [name], "msg": f"must be {low} to {high}", "type": "range"}
        for name, value, low, high in limits
        if not low <= value <= high
    ]
    if errors:
        raise ValidationFailed(details={"errors": errors})
    codec_of(form)
    if form.split_channels:
        _check_channel_tracks(upload)


def _check_channel_tracks(upload: Upload) -> None:
    names = upload.channel_tracks
    if len(names) != upload.form.channels or len(set(names)) != len(names):
        message = "channel_tracks must name each channel once"
        raise ValidationFailed.at("channel_tracks", message=message, kind="channel_tracks")
    for name in names:
        check_name(name, "channel_tracks")
