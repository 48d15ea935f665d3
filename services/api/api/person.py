"""SHELL: every place that holds a person's data: `python -m api.person 7001`.

For a data-protection officer: each place, how much of this rider lies there, and when it ends. Of
places outside the database it says what they are and when they end; nobody can count in them.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from typing import Final

import typer
from msgspec import Struct

from api.contract.parameters import LARGEST_ID
from deloton.errors import SettingsError
from deloton.running.commands import ending_in_a_sentence
from deloton.running.settings import DatabaseSettings
from deloton.store.database import connect

_AT_ERASURE: Final = "with the erasure"
_OWN_RIDES: Final = "ride_id IN (SELECT ride_id FROM rides_of_person($1))"
_OWN_ALERTS: Final = "alert_id IN (SELECT alert_id FROM heart_rate_alerts WHERE rider_id = $1)"
_SUBJECT: Final = "subject_id = $1 AND action <> 'delete_ride'"

# A table, what tells the rider's rows in it, and when they end.
TABLES: Final = (
    ("riders", "rider_id = $1", _AT_ERASURE),
    ("rides", _OWN_RIDES, _AT_ERASURE),
    ("ride_readings", _OWN_RIDES, f"{_AT_ERASURE}, or after READINGS_RETENTION_DAYS"),
    ("rider_limits", "rider_id = $1", _AT_ERASURE),
    ("heart_rate_alerts", "rider_id = $1", _AT_ERASURE),
    ("heart_rate_recoveries", _OWN_ALERTS, _AT_ERASURE),
    ("danger_acknowledgements", _OWN_ALERTS, _AT_ERASURE),
    ("ride_hearts", _OWN_RIDES, _AT_ERASURE),
    ("ride_series", _OWN_RIDES, f"{_AT_ERASURE}, or after READINGS_RETENTION_DAYS"),
    ("refused_addresses", "rider_id = $1", _AT_ERASURE),
    ("exports", "rider_id = $1", "the file with the erasure, or after a day"),
    ("changes", "rider_id = $1", "after CHANGES_RETENTION_DAYS, by number"),
    ("webhook_deliveries", "rider_id = $1", "30 days after they are settled, by number"),
    ("erasures", "rider_id = $1", "kept: older lines do not bring the person back"),
    ("audit", _SUBJECT, "kept"),
)

# What lies outside the database, or where the API may not look.
ELSEWHERE: Final = (
    ("analysts' star", _AT_ERASURE),
    ("rides_to_pack, by number", _AT_ERASURE),
    ("ingest_streams, by number", "after 90 days of silence"),
    ("deleted_rides, bike and start", "kept: older lines do not bring the ride back"),
    ("raw lines in Kafka", "the topic's retention, about 90 days"),
    ("topic heart-rates", "after 1 day"),
    ("topic ride-events", "after 90 days"),
    ("topic dead-letters", "after 90 days"),
    ("mails that were sent", "with the mailboxes"),
    ("archived reports", "deleted by hand"),
    ("analysts' extract", "with the next one"),
    ("logs, by number", "after 30 days"),
    ("backups", "after 14 days"),
)


class Place(Struct, frozen=True):
    """Where data of a person lie: the rows, None where nobody can count, and when they end."""

    name: str
    rows: int | None
    ends: str


async def places_of(database_url: str, rider_id: int) -> list[Place]:
    """Every place, those in the database with their rows; all of one moment."""
    connection = await connect(database_url, application="person", answer_within_s=None)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            counted = [
                Place(table, await connection.fetchval(_count(table, own), rider_id), ends)
                for table, own, ends in TABLES
            ]
    finally:
        await connection.close()
    return [*counted, *(Place(name, None, ends) for name, ends in ELSEWHERE)]


def _count(table: str, own: str) -> str:
    # Not the table itself, which hides some rides from us.
    table = "rides_of_person($1)" if table == "rides" else table
    return f"SELECT count(*) FROM {table} WHERE {own}"  # noqa: S608  names of our own


def _rider_id(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= LARGEST_ID):
        raise argparse.ArgumentTypeError(f"{text} is no rider's number")
    return int(text)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the places as a table."""
    parser = argparse.ArgumentParser(prog="python -m api.person", description=__doc__)
    parser.add_argument("rider_id", type=_rider_id)
    rider_id = parser.parse_args(arguments).rider_id
    try:
        settings = DatabaseSettings.from_environment()
    except SettingsError as error:
        sys.exit(str(error))
    with ending_in_a_sentence():
        places = asyncio.run(places_of(settings.database_url.get_secret_value(), rider_id))
    for place in places:
        rows = "?" if place.rows is None else f"{place.rows:,}"
        typer.echo(f"{place.name:<32}{rows:>12}  {place.ends}")


if __name__ == "__main__":
    main()
