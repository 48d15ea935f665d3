"""The API's rules that need no server: cursors, Accept, keys, ages, periods, CSV."""

from datetime import UTC, date, datetime

import pytest

from api.access.credentials import (
    Credential,
    Scope,
    StoredKey,
    is_genuine,
    new_credential,
    read_credential,
)
from api.contract.answers import per_kg
from api.contract.csv_rows import lines
from api.contract.negotiation import preferred
from api.contract.paging import (
    AwareTime,
    Cursor,
    digest_of,
    next_address,
    read_cursor,
    write_cursor,
)
from api.contract.parameters import LeaderMetric, Period, RideSort, RidesParameters
from api.contract.problems import Problem
from api.contract.schemas import Daily, Ride, Rider
from api.routes.figures import period_around
from api.store.queries import OF_A_RIDER
from api.store.readings import within_time
from deloton.rules.figures import FIGURES, LEADERS
from deloton.store.ride_figures import OF_A_DAY

AT = datetime(2026, 3, 2, 9, 15, 0, 922427, tzinfo=UTC)
OFFERED = ("application/json", "text/csv")


@pytest.mark.parametrize(("value", "kind"), [(AT, AwareTime), (0.1 + 0.2, float), (-7.0, float)])
def test_a_cursor_comes_back_as_it_was(value: object, kind: object) -> None:
    cursor = Cursor("digest", value, 2**63 - 1)
    assert read_cursor(write_cursor(cursor), kind, "digest") == cursor


@pytest.mark.parametrize(
    "cursor",
    [
        Cursor("digest", datetime(2026, 3, 2), 1),  # noqa: DTZ001
        Cursor("digest", datetime(9999, 12, 31, tzinfo=UTC), 1),
        Cursor("digest", AT, -1),
        Cursor("digest", AT, 2**63),
        Cursor("digest", 1.5, 1),
        Cursor("other", AT, 1),
    ],
)
def test_a_cursor_that_was_tampered_with_is_refused(cursor: Cursor[object]) -> None:
    with pytest.raises(Problem, match="cursor"):
        read_cursor(write_cursor(cursor), AwareTime, "digest")


def test_a_ride_tells_every_figure_in_the_words_in_which_it_is_declared() -> None:
    told = {name: field.description for name, field in Ride.model_fields.items()}
    for figure in FIGURES:
        assert told.get(figure.name) == (figure.meaning if figure.in_api else None)


def test_days_and_riders_have_a_field_for_every_figure_that_is_counted_for_them() -> None:
    assert set(OF_A_DAY) <= Daily.model_fields.keys()
    assert set(OF_A_RIDER) <= Rider.model_fields.keys()


def test_rides_are_ranked_and_sorted_by_the_figures_that_have_an_index() -> None:
    assert list(LeaderMetric) == list(LEADERS)
    assert {sort.column for sort in RideSort} == {"started_at", *LEADERS}


def test_the_order_of_parameters_makes_no_other_digest() -> None:
    assert digest_of({"a": 1, "b": "2"}) == digest_of({"b": 2, "a": "1"})
    assert digest_of({"a": 1}) != digest_of({"a": 2})


def test_the_next_page_keeps_the_parameters() -> None:
    asked = RidesParameters.model_validate(
        {"from_at": "2026-03-02T10:00:00+01:00", "town": "A & B"}
    )
    assert next_address("/v1/rides", asked.given(), "xyz") == (
        "/v1/rides?from_at=2026-03-02T09%3A00%3A00Z&town=A+%26+B&cursor=xyz"
    )


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        ("text/csv", "text/csv"),
        ("text/*", "text/csv"),
        ("TEXT/CSV; charset=utf-8", "text/csv"),
        ("text/csv;q=0.5, application/json;q=0.4", "text/csv"),
        ("text/csv;q=0, */*", "application/json"),
        ("application/*;q=0.1, text/csv;q=0.2", "text/csv"),
    ],
)
def test_the_format_with_the_highest_quality_is_taken(accept: str | None, expected: str) -> None:
    assert preferred(accept, OFFERED) == expected


@pytest.mark.parametrize("accept", ["image/png", "text/csv;q=0", "json", "*/*;q=x"])
def test_no_offered_format_is_a_problem(accept: str) -> None:
    with pytest.raises(Problem, match=r"application/json or text/csv"):
        preferred(accept, OFFERED)


def test_a_key_is_read_back_and_only_its_own_secret_opens() -> None:
    credential = new_credential()
    stored = StoredKey(credential.key_id, credential.secret_hash, frozenset({Scope.READ}), 60)
    assert read_credential(credential.key) == credential
    assert is_genuine(credential, stored)
    assert not is_genuine(Credential(credential.key_id, new_credential().secret), stored)
    assert credential.secret not in repr(credential)


@pytest.mark.parametrize("key", ["", "deloton", "deloton_x_y", "deloton_000000000000_"])
def test_what_is_not_written_like_a_key_is_none(key: str) -> None:
    assert read_credential(key) is None


@pytest.mark.parametrize(("power", "weight"), [(None, 70.0), (100.0, None), (100.0, 0.0)])
def test_watts_a_kilogram_need_both(power: float | None, weight: float | None) -> None:
    assert per_kg(power, weight) is None


@pytest.mark.parametrize(
    ("period", "expected"),
    [
        (Period.DAY, (date(2026, 3, 1), date(2026, 3, 2))),
        (Period.WEEK, (date(2026, 2, 23), date(2026, 3, 2))),
        (Period.MONTH, (date(2026, 3, 1), date(2026, 4, 1))),
        (Period.ALL, (None, None)),
    ],
)
def test_a_period_is_one_of_the_calendar(
    period: Period, expected: tuple[date | None, date | None]
) -> None:
    assert period_around(date(2026, 3, 1), period) == expected


def test_a_clock_at_the_end_of_time_leaves_room_to_count() -> None:
    assert within_time(datetime.max.replace(tzinfo=UTC)).year == 9999
    assert within_time(AT) == AT


def test_what_was_not_measured_is_an_empty_cell() -> None:
    reading = {
        "at": "2026-03-02T09:15:00.922427Z",
        "elapsed_s": 1,
        "heart_rate_bpm": None,
        "cadence_rpm": 38,
        "resistance": 30,
        "power_watts": 8.9,
    }
    assert lines([reading], list(reading)) == "2026-03-02T09:15:00.922427Z,1,,38,30,8.9\r\n"


def test_a_cell_of_a_csv_is_never_a_formula() -> None:
    assert lines([{"name": "=1+1"}], ["name"]) == "'=1+1\r\n"
