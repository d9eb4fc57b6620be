"""Reads the command line."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import resource
import signal
import sys
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Literal

from interview_agent import __version__
from interview_agent.client.options import add_live_command
from interview_agent.domain.analytics.metrics_file import measure_words_file
from interview_agent.domain.errors import AgentError, ValidationFailed
from interview_agent.domain.readiness import as_table, errors_in
from interview_agent.domain.roles import Role, parse_roles
from interview_agent.runtime.logs import configure_logs
from interview_agent.runtime.supervise import supervise
from interview_agent.settings import Settings, SettingsError, read_settings


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="interview-agent", description="Turns interviews into text and evidence."
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument(
        "--role",
        default="all",
        help="parts of the service that this process runs, separated by commas: "
        + ", ".join(role.value for role in Role),
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser("run", help="run the service (default)")
    migrate = commands.add_parser("migrate", help="apply missing migrations and exit")
    how = migrate.add_mutually_exclusive_group()
    how.add_argument(
        "--check",
        dest="how",
        action="store_const",
        const="check",
        help="change nothing; exit code 1 when migrations are missing",
    )
    how.add_argument(
        "--dry-run",
        dest="how",
        action="store_const",
        const="rehearse",
        help="apply them in a transaction and take it back",
    )
    migrate.set_defaults(how="apply")
    commands.add_parser(
        "check", help="say what keeps the service from working safely, and how to mend it"
    )
    add_live_command(commands)
    metrics = commands.add_parser("metrics", help="compute interview metrics of a words file")
    metrics.add_argument("file", type=Path, help="JSON with words, duration_s, roles")
    return parser


async def _serve(settings: Settings, roles: frozenset[Role]) -> int:
    # A core dump would hold keys, tokens and what people said.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def on_signal() -> None:
        if stop.is_set():
            os._exit(1)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    # The seconds that the speech libraries take to load must not cost those who ask for help, nor
    # be without an ear for signals.
    from interview_agent.compose import open_service  # noqa: PLC0415

    async with AsyncExitStack() as stack:
        opening = asyncio.ensure_future(stack.enter_async_context(open_service(settings, roles)))
        stopping = asyncio.ensure_future(stop.wait())
        await asyncio.wait({opening, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not opening.done():
            opening.cancel()
            with suppress(asyncio.CancelledError):
                await opening
            return 0
        service = opening.result()
        # What was loaded so far stays, and looking through it for garbage stops the loop for long.
        gc.freeze()
        print(f"Interview Agent is ready at {service.address}", flush=True)
        work = asyncio.ensure_future(supervise(service.loops, service.metrics))
        await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
        service.drain()
        if not work.done():
            await service.settle(settings.shutdown_grace_sec)
            work.cancel()
        with suppress(asyncio.CancelledError):
            await work
    return 0


async def _migrate(settings: Settings, how: Literal["apply", "check", "rehearse"]) -> int:
    from interview_agent.compose import migrate_database  # noqa: PLC0415

    names = await migrate_database(settings, how)
    done = {"apply": "applied", "check": "missing", "rehearse": "would be applied"}[how]
    print(f"{done}: {', '.join(names)}" if names else "nothing to apply")
    return 1 if names and how == "check" else 0


async def _check(settings: Settings, roles: frozenset[Role]) -> int:
    from interview_agent.compose import check_deployment  # noqa: PLC0415

    report = await check_deployment(settings, roles)
    print("\n".join([as_table(report.issues), *report.unchecked]))
    return 1 if errors_in(report.issues) else 0


def _metrics(path: Path) -> int:
    try:
        document = json.loads(path.read_bytes())
    except ValueError as error:
        message = f"{path} is not JSON: {error}"
        raise ValidationFailed(message) from error
    print(json.dumps(measure_words_file(document), ensure_ascii=False, indent=2))
    return 0


def _run(options: argparse.Namespace) -> int:
    if options.command == "metrics":
        return _metrics(options.file)
    if options.command == "live":
        from interview_agent.client.command import run_live  # noqa: PLC0415 - as above

        return run_live(options, os.environ)
    roles = parse_roles(options.role)
    settings = read_settings(os.environ, Path(".env"))
    configure_logs(level=settings.log_level, form=settings.log_format)
    match options.command:
        case "migrate":
            work = _migrate(settings, options.how)
        case "check":
            work = _check(settings, roles)
        case _:
            work = _serve(settings, roles)
    return asyncio.run(work)


def main(arguments: list[str] | None = None) -> int:
    """Run the command that `arguments` name and return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        return _run(options)
    except (AgentError, SettingsError) as error:
        message = error.message if isinstance(error, AgentError) else str(error)
        print(f"interview-agent: {message}", file=sys.stderr)
    except OSError as error:
        print(f"interview-agent: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        return 130
    return 1


if __name__ == "__main__":
    sys.exit(main())
