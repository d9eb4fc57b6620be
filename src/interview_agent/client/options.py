"""The command line of `interview-agent live`, apart from what it needs to run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interview_agent.domain.ids import DEFAULT_TRACK

if TYPE_CHECKING:
    import argparse

_DEFAULT_URL = "http://127.0.0.1:8010"


def add_live_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command and its options."""
    live = commands.add_parser(
        "live",
        help="stream a file, standard input or the microphone and print captions",
        description="Streams sound to a running service, prints captions as they firm up and ends "
        "with the transcript. Ctrl-C ends the sound, a second one leaves at once.",
    )
    live.add_argument(
        "source", metavar="FILE|-|mic", help="a recording, `-` for raw s16le samples, or `mic`"
    )
    live.add_argument("--url", default=_DEFAULT_URL, help="default: %(default)s")
    live.add_argument("--api-key", help="default: API_KEY, or the file DATA_DIR/api_key")
    live.add_argument(
        "--token",
        help="bearer token, which goes before a key; default, unseen by others: ACCESS_TOKEN",
    )
    live.add_argument("--meeting", metavar="ID", help="default: a new meeting")
    live.add_argument("--track", metavar="NAME", default=DEFAULT_TRACK, help="default: %(default)s")
    live.add_argument("--language", metavar="CODE", help="default: that of the service")
    live.add_argument("--speaker", metavar="NAME", help="who speaks on this track")
    live.add_argument(
        "--split-channels", action="store_true", help="one track for each channel: NAME-0, NAME-1"
    )
    live.add_argument("--rate", type=int, default=16_000, help="of `-`; default: %(default)s Hz")
    live.add_argument("--channels", type=int, default=1, help="of `-`; default: %(default)s")
    live.add_argument(
        "--no-finish", action="store_true", help="leave the meeting open for other tracks"
    )
