"""Measures live captions as users meet them: delays, words, CPU and memory beside a baseline.

Recordings with known word times are spoken at real-time pace to a service of its own over its
public socket, by one stream and by many; the baseline is LocalAgreement-2 over faster-whisper with
windows padded to 30 s. The last line printed is one JSON object. Takes at most 25 minutes.

Beside a recording `x.wav` may lie `x.json` with its language and word times in seconds,
{"language": "en", "words": [["hello", 0.5, 0.9], ...]}, and `x.txt` with what is said. Where there
are no times, a batch pass gives them; where there is no text either, its text is the reference.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from captions.baseline import BaselineError, PlainWhisper
from captions.process_tree import measured_part
from captions.recordings import (
    AUDIO,
    Conversation,
    Recording,
    conversation,
    heard_in_batch,
    interview,
    joined,
    load_folder,
    shortened,
    within,
)
from captions.report import report
from captions.runs import (
    COMMITTED_P95_S,
    many_streams,
    most_sustained,
    one_stream,
)
from captions.service import ServiceError, running_service
from captions.soak import soak
from captions.stream import StreamRefused
from captions.summary import Findings, headline
from interview_agent.adapters.whisper.model_files import find_model
from interview_agent.domain.errors import StartupError

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST_RUN_S = 25 * 60.0
AUDIO_A_LANGUAGE_S = 120.0
CONVERSATION_S = 75.0
QUICK_AUDIO_S = 25.0
QUICK_CONVERSATION_S = 35.0
SERVICE_S = 15.0
"""To start and stop the service."""
TAIL_S = 15.0
"""For the last words, the finish and the waiting between."""
BATCH_PART = 0.3
"""Of the length of a recording, for a batch pass."""


@dataclass
class Bench:
    """One run of the benchmark."""

    options: argparse.Namespace
    folder: Path
    model: Path
    began_s: float = field(default_factory=time.monotonic)
    findings: Findings = field(default_factory=Findings)

    def say(self, text: str) -> None:
        """Print a line for people."""
        if not self.options.json:
            print(text, flush=True)

    @property
    def left_s(self) -> float:
        """Seconds until the run has to be over."""
        return LONGEST_RUN_S - (time.monotonic() - self.began_s)

    @property
    def conversation_s(self) -> float:
        """The longest conversation."""
        return QUICK_CONVERSATION_S if self.options.quick else CONVERSATION_S

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Say how long a part took and how much of the machine everybody else took meanwhile."""
        with measured_part(name) as part:
            yield
        self.findings.others_cores[name] = part.others_cores
        self.say(str(part))

    async def run(self) -> None:
        """Measure everything and print it."""
        load_before = os.getloadavg()
        recordings, conversations = self._choose()
        self._print_plan(recordings, conversations)
        recordings, conversations = await self._hear_in_batch(recordings, conversations)
        await self._run_baseline(recordings)
        await self._run_one_stream(recordings)
        await self._run_many_streams(conversations)
        figures = headline(self.findings)
        load = ", ".join(f"{each:.2f}" for each in (*load_before, *os.getloadavg()))
        self.say(report(self.findings, figures))
        self.say(f"\nload before and after: {load}; took {time.monotonic() - self.began_s:.0f} s")
        print(json.dumps(figures, ensure_ascii=False))

    def _choose(self) -> tuple[list[Recording], list[Conversation]]:
        """Return what one stream speaks, and the conversations of many that batch has to hear."""
        language, folder = self.options.language, self.options.audio
        most_s = QUICK_AUDIO_S if self.options.quick else AUDIO_A_LANGUAGE_S
        recordings, left_out = within(load_folder(folder or AUDIO, language), most_s)
        if left_out:
            self.say(f"left out, since there is enough in their language: {', '.join(left_out)}")
        with_interview = folder is None and language in (None, "en")
        return joined(recordings), [interview()] if with_interview else []

    def _print_plan(self, recordings: list[Recording], conversations: list[Conversation]) -> None:
        audio_s = sum(recording.seconds for recording in recordings)
        channels = [track for each in conversations for track in each.tracks]
        batch_s = BATCH_PART * (audio_s + sum(track.seconds for track in channels))
        tail_s = TAIL_S * len(recordings)
        many_s = SERVICE_S + TAIL_S + self.conversation_s
        single_s = 0.0 if self.options.quick else recordings[0].seconds + TAIL_S / 2
        self.say(
            f"Whisper {self.options.model} int8, {self.options.threads} threads (ours: so many "
            f"calls at once, one thread each; baseline and batch: one call on so many)\n"
            f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.2f}\n\nPlan\n"
            f"  batch pass over everything     about {batch_s:4.0f} s\n"
            f"  baseline, at real-time pace    about {audio_s + tail_s / 2 + single_s:4.0f} s\n"
            f"  ours, one stream               about {audio_s + tail_s + SERVICE_S:4.0f} s\n"
            f"  ours, {self.options.streams} streams                about {many_s:4.0f} s\n"
            + (
                ""
                if self.options.quick
                else f"  other numbers of streams       {many_s:4.0f} s each\n"
            )
            + f"  all of it                      at most {LONGEST_RUN_S / 60:.0f} min\n"
        )

    async def _hear_in_batch(
        self, recordings: list[Recording], conversations: list[Conversation]
    ) -> tuple[list[Recording], list[Conversation]]:
        """Give every recording its words, and make conversations of those that are not."""
        plain = self._plain
        with self.part("batch"):
            heard = [await self._known(plain, recording) for recording in recordings]
            spoken = [
                Conversation(
                    each.name,
                    tuple(
                        [
                            await self._known(plain, shortened(track, self.conversation_s))
                            for track in each.tracks
                        ]
                    ),
                )
                for each in conversations
            ]
        for recording in (*heard, *(track for each in spoken for track in each.tracks)):
            self.say(
                f"    {recording.name}: {recording.language}, {recording.seconds:.1f} s, "
                f"{len(recording.words)} words {recording.note}"
            )
        covered = {track.language for each in spoken for track in each.tracks}
        more = [
            conversation(shortened(r, self.conversation_s))
            for r in heard
            if r.language not in covered
        ]
        return heard, spoken + more

    async def _known(self, plain: PlainWhisper, recording: Recording) -> Recording:
        batch = await plain.batch(recording)
        self.findings.batches[recording.name] = batch
        named = replace(recording, language=recording.language or batch.language)
        known = heard_in_batch(named, batch.words)
        if not known.words:
            message = f"nothing is said in {recording.name}"
            raise ValueError(message)
        return known

    async def _run_baseline(self, recordings: list[Recording]) -> None:
        for recording in recordings:
            with self.part(f"baseline, {recording.name}"):
                self.findings.baselines.append(await self._plain.live(recording))
        if not self.options.quick and self.options.threads > 1:
            with self.part(f"baseline on one thread, {recordings[0].name}"):
                single = await self._plain.live(recordings[0], threads=1)
                self.findings.single_thread_baseline = single

    async def _run_one_stream(self, recordings: list[Recording]) -> None:
        async with running_service(self.folder, self.model, self.options.threads) as service:
            for recording in recordings:
                with self.part(f"one stream, {recording.name}"):
                    one = await one_stream(service, recording)
                self.findings.ones.append(one)
                self.say(
                    f"    finish took {one.finish_took_s:.1f} s; frames at most "
                    f"{one.most_late_s:.2f} s late; errors: {', '.join(one.errors) or 'none'}"
                )

    async def _run_many_streams(self, conversations: list[Conversation]) -> None:
        async def is_sustained(count: int) -> bool:
            with self.part(f"{count} streams"):
                async with running_service(
                    self.folder, self.model, self.options.threads
                ) as service:
                    run = await many_streams(service, conversations, count)
            self.findings.many.append(run)
            self.say(f"    {run.fault or 'sustained'}; frames at most {run.most_late_s:.2f} s late")
            return run.fault is None

        def may_go_on() -> bool:
            if self.options.quick and self.findings.many:
                return False
            return self.left_s > self.conversation_s + SERVICE_S + 2 * TAIL_S

        p95_s = headline(self.findings)["committed_p95_s"]
        alone = p95_s is not None and p95_s <= COMMITTED_P95_S
        self.findings.streams_sustained = await most_sustained(
            self.options.streams, int(alone), is_sustained, may_go_on
        )

    async def soak(self) -> None:
        """Speak for a long time and print how the memory grew."""
        recording = load_folder(self.options.audio or AUDIO, self.options.language)[0]
        async with running_service(self.folder, self.model, self.options.threads) as service:
            print(json.dumps(await soak(service, recording, self.options.soak * 60, self.say)))

    @property
    def _plain(self) -> PlainWhisper:
        return PlainWhisper(self.folder, self.model, self.options.threads)


def options_of(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--audio", type=Path, help="a folder of recordings, .json or .txt beside")
    parser.add_argument("--language", help="only recordings in this language")
    parser.add_argument("--streams", type=int, default=8, help="the first number of streams tried")
    parser.add_argument("--quick", action="store_true", help="short audio, no search: 4 minutes")
    parser.add_argument("--json", action="store_true", help="print nothing but the last line")
    parser.add_argument(
        "--soak", type=float, metavar="MINUTES", help="one long stream, memory alone"
    )
    parser.add_argument("--model", default="base", help="as WHISPER_MODEL_SIZE")
    parser.add_argument("--threads", type=int, default=2, help="as WHISPER_THREADS")
    return parser.parse_args(arguments)


def main() -> None:
    """Run the benchmark in a folder of its own, which is removed afterwards."""
    options = options_of()
    with tempfile.TemporaryDirectory(prefix="bench-live-") as name:
        try:
            bench = Bench(options, Path(name), find_model(options.model, Path(name)))
            asyncio.run(bench.soak() if options.soak else bench.run())
        except (BaselineError, ServiceError, StartupError, StreamRefused, ValueError) as error:
            sys.exit(f"bench-live: {error}")
        except KeyboardInterrupt:
            sys.exit(130)


if __name__ == "__main__":
    main()
