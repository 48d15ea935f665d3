"""SHELL: `python -m deloton_tableau`: write the files, publish them, or an extract."""

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn
from tableauserverclient.server.endpoint.exceptions import TableauError

from deloton.errors import DelotonError
from deloton.running.cloudwatch import tell_done
from deloton.running.commands import help_of
from deloton.running.logs import configure_logging, get_logger
from deloton.running.settings import DatabaseSettings
from deloton.store.database import connect
from deloton_tableau.catalogue import read_star
from deloton_tableau.dictionary import with_dictionary
from deloton_tableau.documents import Host, data_source, workbook
from deloton_tableau.publishing import (
    ExtractSettings,
    TableauSettings,
    publish_extract,
    publish_live,
)
from deloton_tableau.star import StarView

FOLDER = Path(__file__).resolve().parents[1]
DOCUMENT = FOLDER.parent.parent / "docs" / "tableau.md"

_log = get_logger(__name__)

cli = typer.Typer(add_completion=False, help=help_of(__doc__), pretty_exceptions_enable=False)


@cli.command("files")
def write_files() -> None:
    """Write deloton.tds, deloton.twb and the dictionary from the database's column comments."""
    star = asyncio.run(_read_star(DatabaseSettings.from_environment()))
    _write(FOLDER, star, Host())
    DOCUMENT.write_text(with_dictionary(DOCUMENT.read_text(), star))
    print(f"{FOLDER}: deloton.tds, deloton.twb; {DOCUMENT}")


@cli.command("publish")
def publish_files() -> None:
    """Publish the data source, which asks the database by itself, and the workbook."""
    settings = TableauSettings.from_environment()
    done = publish_live(settings, FOLDER)
    print(f"published to {settings.tableau_project}: {done}")


@cli.command("refresh")
def publish_fresh_extract() -> None:
    """Publish the data source with an extract of now, and the workbook where there is none."""
    from deloton_tableau.extract import write_extract  # noqa: PLC0415

    settings = ExtractSettings.from_environment()
    configure_logging(settings.log_level)
    url = settings.database_url.get_secret_value()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "deloton.hyper"
        rows = asyncio.run(write_extract(url, path, lambda *_: None))
        done = publish_extract(settings, FOLDER, path)
        size_mb = round(path.stat().st_size / 1e6, 1)
    tell_done(settings.cloudwatch_namespace, "tableau")
    _log.info("extract published", rows=rows, size_mb=size_mb, new_workbook=bool(done.workbook_id))


@cli.command("extract")
def write_extract_file(
    path: Annotated[Path, typer.Argument(help="The file to write.")] = Path("deloton.hyper"),
) -> None:
    """Write the star as a .hyper file."""
    # Published for fewer machines than the rest.
    from deloton_tableau.extract import write_extract  # noqa: PLC0415

    settings = DatabaseSettings.from_environment()
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        tasks: dict[str, object] = {}

        def show(view: str, count: int) -> None:
            if view not in tasks:
                tasks[view] = progress.add_task(view, total=None)
            progress.update(tasks[view], advance=count)  # type: ignore[arg-type]

        url = settings.database_url.get_secret_value()
        rows = asyncio.run(write_extract(url, path.resolve(), show))
    print(f"{path}: " + ", ".join(f"{count:,} {view}" for view, count in rows.items()))


def _write(folder: Path, star: list[StarView], host: Host) -> None:
    (folder / "deloton.tds").write_bytes(data_source(star, host))
    (folder / "deloton.twb").write_bytes(workbook(star, host))


async def _read_star(settings: DatabaseSettings) -> list[StarView]:
    connection = await connect(
        settings.database_url.get_secret_value(), application="tableau files"
    )
    try:
        return await read_star(connection)
    finally:
        await connection.close()


def main() -> None:
    """Run a command; what can be foreseen ends it with a sentence."""
    try:
        cli()
    except (DelotonError, TableauError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
