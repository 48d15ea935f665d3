"""One message never outranks the fleet: what PostgreSQL would refuse stops nobody."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import NamedTuple

import asyncpg
import pytest
from aiokafka import ConsumerRecord

from deloton.testing import a_message_of, a_rider, a_whole_ride, at, epoch_ms
from tests.e2e.ingestor_site import (
    PARTITIONS,
    Feed,
    Load,
    Site,
    wait_until_stored,
)
from tests.e2e.outside_values import (
    VALUE_S,
    Told,
    extremes,
    of_its_own,
    outside_columns,
    told_columns,
)
from tests.e2e.stored_rows import differences, read_digested
from tests.oracle.straightforward import RawMessage

pytestmark = pytest.mark.embedded

SECRET = "Ada Example, 12 Example lane"
# What becomes of numbers, stamps and half characters that a line cannot have.
UNREADABLE = {"bad_number", "bad_stamp", "not_json", "implausible"}
# In the order of their use, again and again: a class each that waiting does not mend.
SQLSTATES = ("23514", "22001", "22003", "22021", "54000", "23502", "21000")

_REFUSE = f"""
CREATE FUNCTION refused(is_cursed boolean, state text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF is_cursed THEN RAISE EXCEPTION 'refused: {SECRET}' USING ERRCODE = state; END IF;
    RETURN true;
END $$
"""


class Curse(NamedTuple):
    """A value that this test's database refuses: as PostgreSQL and as a bike spell it."""

    value: object
    spelled: object


CURSES: dict[str, Curse] = {
    "riders.rider_id": Curse(666, 666),
    "riders.title": Curse("Prof", "Prof"),
    "riders.gender": Curse("other", "centaur"),
    "riders.born_on": Curse(date(1966, 6, 6), epoch_ms(date(1966, 6, 6))),
    "riders.account_created_on": Curse(date(2006, 6, 6), epoch_ms(date(2006, 6, 6))),
    "riders.height_cm": Curse(166.6, 166.6),
    "riders.weight_kg": Curse(66.6, 66.6),
    "riders.seen_at": Curse(at(66.625), at(66.625)),
    "bikes.serial": Curse("SN666", "SN666"),
    "rides.rider_id": Curse(667, 667),
    "rides.bike_serial": Curse("SN667", "SN667"),
    "rides.started_at": Curse(at(66.75), at(66.75)),
    "readings.at": Curse(at(VALUE_S), at(VALUE_S)),
    "readings.elapsed_s": Curse(VALUE_S, VALUE_S),
    "readings.heart_rate_bpm": Curse(166, 166),
    "readings.cadence_rpm": Curse(66, 66),
    "readings.resistance": Curse(66, 66),
    "readings.power_watts": Curse(666.0, 666.0),
}


def curse_on(told: Told) -> Curse:
    """The value of a column that is refused; texts without a rule of their own: any will do."""
    return CURSES.get(told.name, Curse(f"cursed-{told.column}", f"cursed-{told.column}"))


class Row:
    """A partition's messages, with victims among bikes that nobody curses."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.messages: list[RawMessage] = []
        self.culprits: set[int] = set()

    def send(self, key: bytes, values: Sequence[bytes]) -> None:
        for value in values:
            self.messages.append(RawMessage(self.number, len(self.messages), key, value))

    def send_culprit(self, key: bytes, value: bytes) -> None:
        self.culprits.add(len(self.messages))
        self.send(key, [value])


def a_ride_of(number: int, serial: str, began_s: float = 0.0) -> list[bytes]:
    lines = a_whole_ride(6, began_s=began_s, rider=a_rider(number), bike_serial=serial)
    return [a_message_of(line) for line in lines]


def among_good_rides(values: Sequence[tuple[Told, bytes]]) -> list[Row]:
    """Each value in the middle of a ride of a bike of its own, with another bike beside it."""
    parts = [Row(number) for number in range(PARTITIONS)]
    for number, (told, value) in enumerate(values):
        part = parts[number % PARTITIONS]
        victim, neighbour = f"SN{1000 + number}", f"SN{5000 + number}"
        ride, other = a_ride_of(1000 + number, victim), a_ride_of(5000 + number, neighbour)
        # Whole seconds before it, and the rest of the ride after a line of a reading.
        middle = 10 if told.table == "readings" else len(ride)
        part.send(victim.encode(), ride[:middle])
        part.send(neighbour.encode(), other[:9])
        part.send_culprit(victim.encode(), of_its_own(value, number))
        part.send(neighbour.encode(), other[9:])
        part.send(victim.encode(), ride[middle:])
        part.send(victim.encode(), a_ride_of(1000 + number, victim, began_s=200))
    return parts


async def digest(site: Site, parts: Sequence[Row]) -> None:
    """Two workers bring all partitions to their ends."""
    messages = [message for part in parts for message in part.messages]
    await Load(site, messages, float("inf"), len(messages)).send()
    workers = [site.start_worker(), site.start_worker()]
    await wait_until_stored(site, messages)
    assert all(worker.program.running for worker in workers)


def reasons(letters: Sequence[ConsumerRecord]) -> list[tuple[int, int, str]]:
    """Where each letter's line lay, and its reason."""
    headers = [dict(letter.headers) for letter in letters]
    return sorted(
        (int(each["partition"]), int(each["offset"]), each["reason"].decode()) for each in headers
    )


async def narrow(database_url: str, columns: Sequence[Told]) -> None:
    """Let the database refuse the curse on each column, with errors of every class."""
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(_REFUSE)
        for number, told in enumerate(columns):
            state = SQLSTATES[number % len(SQLSTATES)]
            literal = await connection.fetchval("SELECT quote_literal($1::text)", spell(told))
            await connection.execute(
                f"ALTER TABLE {told.table} ADD CONSTRAINT cursed_{told.column} "
                f"CHECK (refused({told.column} = {literal}, '{state}'))"
            )
    finally:
        await connection.close()


def spell(told: Told) -> str:
    value = curse_on(told).value
    return value.isoformat() if isinstance(value, date | datetime) else str(value)


def test_every_column_that_takes_a_value_from_outside_is_told_of() -> None:
    assert len(told_columns()) == len(list(outside_columns())) == 27
    assert CURSES.keys() <= {told.name for told in told_columns()}


async def test_what_the_database_refuses_of_any_column_is_one_letter_and_the_rest_is_exact(
    site: Site,
) -> None:
    columns = told_columns()
    await narrow(site.database_url, columns)
    parts = among_good_rides([(told, told.tell(curse_on(told).spelled)) for told in columns])
    await digest(site, parts)
    found = await read_digested(site)
    due = [(part.number, offset) for part in parts for offset in sorted(part.culprits)]
    assert reasons(found.dead_letters) == [(*place, "refused_by_database") for place in due]
    assert found.rows.refused_lines.total() == len(columns)
    kept = [m for part in parts for m in part.messages if m.offset not in part.culprits]
    expected = Feed(kept).as_of(found.rows.rides)
    assert differences(expected.readings, found.rows.readings) == []
    assert differences(expected.rides, found.rows.rides) == []
    assert differences(expected.riders, found.rows.riders) == []
    assert differences(expected.bikes, found.rows.bikes) == []


async def test_a_letter_tells_the_errors_class_and_neither_it_nor_the_log_any_personal_data(
    site: Site,
) -> None:
    [town] = [told for told in told_columns() if told.name == "riders.town"]
    await narrow(site.database_url, [town])
    await digest(site, among_good_rides([(town, town.tell(curse_on(town).spelled))]))
    [letter] = (await read_digested(site)).dead_letters
    assert dict(letter.headers)["detail"] == b"CheckViolationError (23514)"
    logs = "".join(path.read_text() for path in site.folder.glob("*.log"))
    assert "CheckViolationError" in logs
    assert SECRET not in logs
    assert str(curse_on(town).spelled) not in logs


def all_extremes() -> list[tuple[Told, bytes]]:
    by_name = {told.name: told for told in told_columns()}
    return [
        (told, told.tell(value))
        for column in outside_columns()
        for told in [by_name[f"{column.table.name}.{column.name}"]]
        for value in extremes(column)
    ]


async def test_no_value_from_outside_is_one_that_the_database_would_refuse(site: Site) -> None:
    parts = among_good_rides(all_extremes())
    await digest(site, parts)
    found = await read_digested(site)
    letters = reasons(found.dead_letters)
    assert {reason for _, _, reason in letters} == UNREADABLE
    assert {(p, offset) for p, offset, _ in letters} <= {
        (part.number, offset) for part in parts for offset in part.culprits
    }
    assert len({(p, offset) for p, offset, _ in letters}) == len(letters)
    neighbours = [m for part in parts for m in part.messages if m.key and m.key[2:3] == b"5"]
    good = Feed(neighbours).as_of(found.rows.rides)
    readings, rides = found.rows.readings, found.rows.rides
    assert good.rides.keys() <= rides.keys()
    assert differences(good.readings, {key: readings[key] for key in good.readings}) == []
    assert differences(good.rides, {key: rides[key] for key in good.rides}) == []
