"""SHELL: `python -m reporter`: sends yesterday's report, or the reports that are asked for."""

import asyncio
import logging
import sys
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from deloton.errors import DelotonError, SettingsError
from deloton.running.commands import help_of
from deloton.running.logs import configure_logging
from reporter.app import (
    ASKED_PATIENCE_S,
    UNATTENDED_PATIENCE_S,
    Done,
    draw,
    now_utc,
    periods_asked_for,
    send,
)
from reporter.days import Period
from reporter.settings import CountingSettings, ReporterSettings

cli = typer.Typer(add_completion=False, help=help_of(__doc__), pretty_exceptions_enable=False)

_DAY = ["%Y-%m-%d"]


@cli.command()
def report(
    on: Annotated[
        datetime | None, typer.Option("--date", formats=_DAY, help="This day; default: yesterday.")
    ] = None,
    first_on: Annotated[
        datetime | None, typer.Option("--from", formats=_DAY, help="Every day from this one …")
    ] = None,
    last_on: Annotated[
        datetime | None, typer.Option("--to", formats=_DAY, help="… to this; default: yesterday.")
    ] = None,
    week: Annotated[
        bool, typer.Option("--week", help="The weeks of these days; default: last week.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Write the PDF here too; a folder for several.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Write the PDF; send, archive, note nothing.")
    ] = False,
    resend: Annotated[
        bool, typer.Option("--resend", help="Send also what was sent, or may have been.")
    ] = False,
) -> None:
    """Bring the report of a day or week to the CEO: once, whoever asks how often."""
    settings = _read_settings(CountingSettings if dry_run else ReporterSettings)
    try:
        periods = periods_asked_for(
            ZoneInfo(settings.time_zone),
            now_utc(),
            _day(on),
            _day(first_on),
            _day(last_on),
            week,
        )
    except (ValueError, DelotonError) as error:
        sys.exit(f"reporter: {error}")
    if isinstance(settings, ReporterSettings):
        patience_s = ASKED_PATIENCE_S if on or first_on else UNATTENDED_PATIENCE_S
        done = asyncio.run(_send_with_progress(settings, periods, resend, out, patience_s))
        sys.exit(1 if any(one.failure for one in done) else 0)
    try:
        for path in asyncio.run(draw(settings, periods, out)):
            print(path)
    except (DelotonError, OSError) as error:
        sys.exit(f"reporter: {error}")


async def _send_with_progress(
    settings: ReporterSettings,
    periods: Sequence[Period],
    resend: bool,
    out: Path | None,
    patience_s: float,
) -> list[Done]:
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        # A single report is soon done, and where nobody looks the log says it all.
        disable=len(periods) == 1 or not sys.stderr.isatty(),
    )
    with progress:
        task = progress.add_task("Reports", total=len(periods))

        def show(done: Done) -> None:
            progress.update(task, advance=1, description=f"{done.edition} {done.on}")
            print(
                f"{done.edition} report of {done.on}: {done.outcome or f'failed: {done.failure}'}"
            )

        return await send(
            settings, periods, resend=resend, out=out, on_done=show, patience_s=patience_s
        )


def _day(option: datetime | None) -> date | None:
    return option.date() if option else None


def _read_settings(kind: type[CountingSettings]) -> CountingSettings:
    try:
        settings = kind.from_environment()
    except SettingsError as error:
        sys.exit(str(error))
    configure_logging(settings.log_level)
    for library in ("botocore", "boto3", "svglib", "xhtml2pdf"):
        logging.getLogger(library).setLevel(logging.WARNING)
    return settings


if __name__ == "__main__":
    cli(prog_name="python -m reporter")
