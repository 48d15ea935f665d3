"""SHELL: `python -m hr_alerter.limits`: a rider's own limits, or alerts switched off.

Switching off holds at once, also for a mail that waits; any other change from the rider's next
ride on.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime
from typing import Annotated
from zoneinfo import ZoneInfo

import asyncpg
import typer

from deloton.errors import SettingsError
from deloton.rules.calendar import day_of, known_age_on
from deloton.rules.heart_rate import LimitPolicy, OwnLimits, Proof, limits_of
from deloton.running.commands import help_of
from deloton.running.settings import DatabaseSettings
from deloton.store.database import Connection, connect
from deloton.store.proven import PROVEN_OF_RIDER

cli = typer.Typer(add_completion=False, help=help_of(__doc__), pretty_exceptions_enable=False)

ANSWER_WITHIN_S = 5.0
RiderId = Annotated[int, typer.Argument(help="The rider's number.", min=0)]
Bpm = Annotated[
    int | None, typer.Option(min=20, max=250, help="In bpm; left as it is if not given.")
]

_READ = f"""
SELECT born_on, low_bpm, high_bpm, critical_bpm, coalesce(alerts_on, true) AS alerts_on,
       proven_bpm, proven_rides
FROM (SELECT rider_id, born_on, now() AS started_at FROM riders) AS rides
LEFT JOIN rider_limits USING (rider_id)
CROSS JOIN LATERAL ({PROVEN_OF_RIDER}) AS proven
WHERE rider_id = $1
"""  # noqa: S608  a statement of our own
_SET = """
INSERT INTO rider_limits AS own (rider_id, low_bpm, high_bpm, critical_bpm)
VALUES ($1, $2, $3, $4)
ON CONFLICT (rider_id) DO UPDATE SET
    low_bpm = coalesce(excluded.low_bpm, own.low_bpm),
    high_bpm = coalesce(excluded.high_bpm, own.high_bpm),
    critical_bpm = coalesce(excluded.critical_bpm, own.critical_bpm),
    updated_at = now()
"""
_SWITCH = """
INSERT INTO rider_limits (rider_id, alerts_on) VALUES ($1, $2)
ON CONFLICT (rider_id) DO UPDATE SET alerts_on = excluded.alerts_on, updated_at = now()
"""
_CLEAR = "DELETE FROM rider_limits WHERE rider_id = $1"


@cli.command()
def show(rider_id: RiderId) -> None:
    """Show the limits that hold for a rider."""
    _do(rider_id, lambda _: _nothing())


@cli.command("set")
def set_limits(rider_id: RiderId, low: Bpm = None, high: Bpm = None, critical: Bpm = None) -> None:
    """Set own limits, as agreed with a doctor."""
    if low is high is critical is None:
        sys.exit("Nothing to set: give --low, --high or --critical.")
    _do(rider_id, lambda connection: connection.execute(_SET, rider_id, low, high, critical))


@cli.command()
def off(rider_id: RiderId) -> None:
    """Send a rider no more alerts."""
    _do(rider_id, lambda connection: connection.execute(_SWITCH, rider_id, False))


@cli.command()
def on(rider_id: RiderId) -> None:
    """Send a rider alerts again."""
    _do(rider_id, lambda connection: connection.execute(_SWITCH, rider_id, True))


@cli.command()
def clear(rider_id: RiderId) -> None:
    """Forget own limits: the rules hold again, and alerts are on."""
    _do(rider_id, lambda connection: connection.execute(_CLEAR, rider_id))


async def _nothing() -> None:
    """Change nothing."""


def _do(rider_id: int, change: Callable[[Connection], Awaitable[object]]) -> None:
    try:
        settings = DatabaseSettings.from_environment()
    except SettingsError as error:
        sys.exit(str(error))
    url = settings.database_url.get_secret_value()
    today = day_of(datetime.now(UTC), ZoneInfo(settings.time_zone))
    try:
        sys.stdout.write(asyncio.run(_change_and_show(url, rider_id, change, today)))
    except asyncpg.ForeignKeyViolationError:
        sys.exit(f"There is no rider {rider_id}.")
    except asyncpg.CheckViolationError:
        sys.exit("Limits must be in this order: low < high ≤ critical.")
    except OSError as error:
        sys.exit(f"The database cannot be reached: {error.strerror or type(error).__name__}.")


async def _change_and_show(
    url: str, rider_id: int, change: Callable[[Connection], Awaitable[object]], today: date
) -> str:
    connection = await connect(url, application="limits", answer_within_s=ANSWER_WITHIN_S)
    try:
        await change(connection)
        row = await connection.fetchrow(_READ, rider_id)
    finally:
        await connection.close()
    if row is None:
        sys.exit(f"There is no rider {rider_id}.")
    return describe(rider_id, row, today)


def describe(rider_id: int, row: asyncpg.Record, today: date) -> str:
    """The limits that hold, a line each; by the default policy where the rider has none.

    `today` is the company's day: on it the rider is as old as the limits take it.
    """
    own = OwnLimits(row["low_bpm"], row["high_bpm"], row["critical_bpm"], row["alerts_on"])
    proof = Proof(row["proven_bpm"], row["proven_rides"]) if row["proven_rides"] else None
    age = known_age_on(today, row["born_on"])
    lines = [f"Rider {rider_id}: alerts are {'on' if own.alerts_on else 'OFF'}"]
    lines += [
        f"  {limit.level:<9}{limit.bpm:>6g} bpm  {limit.rule}"
        for limit in limits_of(age, LimitPolicy(), own, proof)
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    cli()
