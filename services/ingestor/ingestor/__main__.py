"""SHELL: `python -m ingestor`: the worker; `replay-dead-letters`: send what can be read by now."""

import asyncio
import gc
import logging
import socket
import sys
from typing import Annotated

import faust
import typer
import uvloop

from deloton.errors import SettingsError
from deloton.running.commands import help_of
from deloton.running.logs import configure_logging
from deloton.wire.kafka import use_own_connections
from ingestor.app import IngestorApp
from ingestor.dead_letters import replay_dead_letters
from ingestor.settings import IngestorSettings

cli = typer.Typer(add_completion=False, help=help_of(__doc__), pretty_exceptions_enable=False)


@cli.callback(invoke_without_command=True)
def run(context: typer.Context) -> None:
    """Run the worker until SIGTERM or SIGINT."""
    settings = _read_settings()
    if context.invoked_subcommand is None:
        _refuse_taken_port(settings.metrics_port)
        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
        use_own_connections()
        # A batch is tens of thousands of objects without cycles: look for garbage less often.
        gc.freeze()
        gc.set_threshold(100_000, 20, 50)
        worker = faust.Worker(
            IngestorApp(settings),
            loglevel=settings.log_level,
            override_logging=False,
            redirect_stdouts=False,
            quiet=True,
        )
        # A spinner would leave a terminal's codes in the log.
        worker.spinner = None
        worker.execute_from_commandline()


@cli.command("replay-dead-letters")
def replay(
    reason: Annotated[str | None, typer.Option(help="Only letters of this reason.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count, send nothing.")] = False,
) -> None:
    """Send the dead letters again whose lines can be read by now."""
    counts = asyncio.run(replay_dead_letters(_read_settings(), reason=reason, dry_run=dry_run))
    verb = "would be sent" if dry_run else "sent"
    print(
        f"{counts['read']} dead letters read, {counts['sent']} {verb} again, "
        f"{counts['unreadable']} still unreadable"
    )


def _refuse_taken_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError as error:
            sys.exit(f"METRICS_PORT {port} cannot be listened on: {error.strerror}")


def _read_settings() -> IngestorSettings:
    try:
        settings = IngestorSettings.from_environment()
    except SettingsError as error:
        sys.exit(str(error))
    configure_logging(settings.log_level)
    for library in ("aiokafka", "faust", "mode"):
        logging.getLogger(library).setLevel(logging.WARNING)
    return settings


if __name__ == "__main__":
    cli()
