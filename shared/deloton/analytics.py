"""SHELL: fill the star that analysts see: `python -m deloton.analytics refresh`.

How it is filled is told in `deloton.store.star`. `--every 60` goes on, once a minute.

`python -m deloton.analytics password` lets the role `tableau_reader` log in, with the password
in `TABLEAU_READER_PASSWORD`.
"""

import argparse
import asyncio
import contextlib
import signal
import sys
from collections.abc import Sequence

from pydantic import SecretStr

from deloton.errors import SettingsError
from deloton.running.cloudwatch import tell_done
from deloton.running.logs import configure_logging, get_logger
from deloton.running.retries import until_it_works
from deloton.running.settings import CloudWatchSettings, DatabaseSettings
from deloton.store.database import connect_pool, is_transient
from deloton.store.roles import set_password
from deloton.store.star import refresh

_log = get_logger(__name__)

# A statement takes up what changed since the last refresh: after a restore, everything.
ANSWER_WITHIN_S = 600.0


class AnalyticsSettings(DatabaseSettings, CloudWatchSettings):
    """What the refresh reads from its environment; the password is for its own command."""

    tableau_reader_password: SecretStr | None = None


async def run_refresh(settings: AnalyticsSettings, every_s: float | None) -> None:
    """Refresh once, or every so many seconds until SIGTERM or SIGINT."""
    url = settings.database_url.get_secret_value()
    pool = await connect_pool(url, size=1, application="analytics", answer_within_s=ANSWER_WITHIN_S)
    try:
        while True:
            done = await until_it_works(
                "database",
                lambda: refresh(pool, settings.time_zone),
                passes_by_itself=is_transient,
            )
            tell_done(settings.cloudwatch_namespace, "analytics")
            if done.ride_count or not every_s:
                _log.info("star refreshed", rides=done.ride_count, skipped=done.skipped_count)
            if not every_s:
                return
            await asyncio.sleep(every_s)
    finally:
        await pool.close()


async def _until_signal(settings: AnalyticsSettings, every_s: float | None) -> None:
    work = asyncio.ensure_future(run_refresh(settings, every_s))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, work.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await work


async def _set_password(settings: AnalyticsSettings) -> None:
    if settings.tableau_reader_password is None:
        raise SettingsError("TABLEAU_READER_PASSWORD: Field required")
    url = settings.database_url.get_secret_value()
    pool = await connect_pool(url, size=1, application="analytics")
    try:
        password = settings.tableau_reader_password.get_secret_value()
        await set_password(pool, "tableau_reader", password)
    finally:
        await pool.close()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one of the two commands."""
    parser = argparse.ArgumentParser(prog="python -m deloton.analytics")
    commands = parser.add_subparsers(dest="command", required=True)
    refreshing = commands.add_parser("refresh", help="bring the analysts' star up to date")
    refreshing.add_argument("--every", type=float, metavar="S", help="go on, every S seconds")
    commands.add_parser("password", help="set tableau_reader's password from the environment")
    options = parser.parse_args(arguments)
    try:
        settings = AnalyticsSettings.from_environment()
        configure_logging(settings.log_level)
        if options.command == "refresh":
            asyncio.run(_until_signal(settings, options.every))
        else:
            asyncio.run(_set_password(settings))
            _log.info("password set", role="tableau_reader")
    except SettingsError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
