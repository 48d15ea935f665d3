"""A data-protection officer is shown every place that holds a person's data."""

import asyncpg
import pytest

from api.person import ELSEWHERE, TABLES, main, places_of
from deloton.store.tables import metadata
from tests.roles import as_role

# Tables that are told of in other words.
_TOLD_OTHERWISE = {"readings", "star_riders", "star_rides", "star_reading_minutes", "star_changes"}


async def store_a_person(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute("INSERT INTO bikes VALUES ('SN1')")
    await connection.execute(
        "INSERT INTO riders (rider_id, first_name, gender, seen_at) "
        "VALUES (7001, 'Ada', 'female', now()), (7002, 'Grace', 'female', now())"
    )
    await connection.execute(
        "INSERT INTO rides (rider_id, bike_serial, started_at) "
        "SELECT 7001, 'SN1', now() + n * interval '1 h' FROM generate_series(1, 3) n"
    )
    await connection.close()


async def test_every_place_of_a_person_is_shown_with_its_rows_and_its_end(
    database_url: str,
) -> None:
    await store_a_person(database_url)
    places = await places_of(as_role(database_url, "api"), 7001)
    rows = {place.name: place.rows for place in places}
    assert (rows["riders"], rows["rides"], rows["rider_limits"]) == (1, 3, 0)
    assert [place.name for place in places if place.rows is None] == [name for name, _ in ELSEWHERE]
    assert all(place.ends for place in places)


def test_no_table_that_may_tell_of_a_person_is_overlooked() -> None:
    numbers = {"rider_id", "ride_id", "alert_id", "subject_id"}
    telling = {name for name, table in metadata.tables.items() if numbers & set(table.c.keys())}
    counted = {table for table, _, _ in TABLES}
    named = {name.split(",")[0] for name, _ in ELSEWHERE}
    assert telling <= counted | named | _TOLD_OTHERWISE


def test_the_command_without_a_database_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    with pytest.raises(SystemExit, match="DATABASE_URL: Field required"):
        main(["7001"])


@pytest.mark.parametrize("number", ["99999999999999999999", "-5", "", "Ada", "1.5"])
def test_what_is_no_riders_number_is_refused(
    number: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([number])
    assert "is no rider's number" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("postgresql://nobody.invalid/none", "The database cannot be reached: "),
        ("as a stranger", "The database refuses: "),
    ],
)
def test_a_database_that_cannot_be_asked_is_told_in_a_sentence(
    database_url: str, monkeypatch: pytest.MonkeyPatch, address: str, sentence: str
) -> None:
    stranger = as_role(database_url, "nobody_we_know")
    monkeypatch.setenv("DATABASE_URL", stranger if address == "as a stranger" else address)
    with pytest.raises(SystemExit, match=sentence):
        main(["7001"])
