"""EDGE: rows as PostgreSQL writes them out for us: each one JSON, as the document describes it.

So a list goes from the database to the wire without a Python object for each of its rows. The
models in `contract.schemas` describe the same; a test holds the two together, field by field.
Times are ISO 8601 in UTC, with microseconds where there are any.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import (
    JSON,
    ColumnElement,
    Date,
    DateTime,
    FromClause,
    Select,
    Text,
    bindparam,
    case,
    cast,
    func,
    literal_column,
    select,
)

from api.contract.parameters import ReadingColumn, RideStatus
from deloton.rules.figures import FIGURES
from deloton.store.rider_sql import known_age
from deloton.store.tables import riders

Fields = Mapping[str, ColumnElement[Any]]

# What is read of a rider to tell who rode.
WHO: Final = (
    riders.c.gender,
    riders.c.born_on,
    riders.c.title,
    riders.c.first_name,
    riders.c.last_name,
)


def _word(text: str) -> ColumnElement[str]:
    """A word of ours, written into the statement."""
    return literal_column(f"'{text}'", Text)


_TIME: Final = _word('YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
_NO_FRACTION: Final = (_word(".000000"), _word(""))
READING: Final = tuple(column.value for column in ReadingColumn)


def told(fields: Fields) -> Select[str]:
    """One column, `told`: each row as a JSON object of these fields, compact, in their order."""
    row = select(*(_written(value).label(name) for name, value in fields.items())).subquery("told")
    written = cast(func.row_to_json(literal_column("told")), Text)
    return select(written.label("told")).select_from(row)


def list_of(fields: Fields) -> ColumnElement[Any]:
    """A JSON list of rows within a row; `fields` are those of a subquery that stands in the row."""
    each = select(*(_written(value).label(name) for name, value in fields.items())).subquery("each")
    listed = func.json_agg(func.row_to_json(literal_column("each")))
    return (
        select(func.coalesce(listed, cast(_word("[]"), JSON))).select_from(each).scalar_subquery()
    )


def some_at_a_time(fields: Fields, many: int) -> Select[str]:
    """As `told`, so many rows in each: separated by commas, in the order in which they come."""
    each = told(fields).subquery("each")
    numbered = select(each.c.told, func.row_number().over().label("number")).subquery("numbered")
    together = func.string_agg(numbered.c.told, _word(","))
    return select(together.label("told")).group_by((numbered.c.number - 1) // many)


def in_columns(page: FromClause, names: Sequence[str], many: int) -> Select[str]:
    """One column, `told`: so many rows in each, as a JSON object of equally long lists by name."""
    numbered = select(
        *(page.c[name] for name in names), func.row_number().over().label("number")
    ).subquery("numbered")
    pairs = ((_word(name), func.json_agg(_written(numbered.c[name]))) for name in names)
    columns = func.json_build_object(*(part for pair in pairs for part in pair))
    return select(cast(columns, Text).label("told")).group_by((numbered.c.number - 1) // many)


def ride_fields(page: FromClause, *, personal: bool) -> Fields:
    """A ride of a list; `page` holds rides and who rode them."""
    return {
        "ride_id": page.c.ride_id,
        "status": _status(page.c.ended_at),
        "bike_serial": page.c.bike_serial,
        "rider": _rider(page, personal=personal),
        **{name: page.c[name] for name in ("started_at", "ended_at", "end_reason")},
        **{figure.name: page.c[figure.name] for figure in FIGURES if figure.in_api},
    }


def live_ride_fields(page: FromClause, *, personal: bool) -> Fields:
    """A ride in progress; `page` is `ride_figures.with_last_reading`."""
    last_reading = _object(reading_fields(page))
    return {
        "ride_id": page.c.ride_id,
        "bike_serial": page.c.bike_serial,
        "rider": _rider(page, personal=personal),
        "started_at": page.c.started_at,
        "last_reading": case((page.c.at.is_not(None), last_reading)),
    }


def rider_fields(page: FromClause, *, personal: bool) -> Fields:
    """A rider of a list; `page` holds riders and when each rode last."""
    fields = _who(page)
    if personal:
        fields |= {"name": _name(page), "town": page.c.town}
    return {
        **fields,
        **{name: page.c[name] for name in ("height_cm", "weight_kg", "last_ride_at")},
    }


def bike_fields(page: FromClause) -> Fields:
    """A bike of a list; `page` holds bikes and their newest rides."""
    names = ("bike_serial", "firmware", "last_ride_id", "last_ride_at")
    return {
        **{name: page.c[name] for name in names},
        "last_ride_status": case((page.c.last_ride_id.is_not(None), _status(page.c.ended_at))),
    }


def alert_fields(page: FromClause, *, personal: bool) -> Fields:
    """An alert and its end; `page` holds alerts, their recoveries and whose they are."""
    return {
        "alert_id": page.c.alert_id,
        "ride_id": page.c.ride_id,
        "rider": _rider(page, personal=personal),
        **{
            name: page.c[name]
            for name in (
                *("level", "measured_at", "heart_rate_bpm", "limit_bpm", "limit_rule"),
                *("state", "settled_at", "recovered_at", "recovery_state"),
            )
        },
    }


def reading_fields(page: FromClause, columns: Iterable[str] = READING) -> Fields:
    """A second of a ride, or the mean of several; what of it beside its time."""
    return {"at": page.c.at, **{name: page.c[name] for name in columns}}


def _rider(page: FromClause, *, personal: bool) -> ColumnElement[Any]:
    """Who rode; NULL where that is not known."""
    fields = _who(page)
    if personal:
        fields["name"] = _name(page)
    return case((page.c.rider_id.is_not(None), _object(fields)))


def _who(page: FromClause) -> dict[str, ColumnElement[Any]]:
    """What everybody may know of a rider. Takes the value `today`: the company's day."""
    return {
        "rider_id": page.c.rider_id,
        "gender": page.c.gender,
        "age_years": known_age(bindparam("today", type_=Date), page.c.born_on),
    }


def _name(page: FromClause) -> ColumnElement[Any]:
    """A rider's title and names, as far as they are known."""
    names = (func.nullif(page.c[name], _word("")) for name in ("title", "first_name", "last_name"))
    return func.nullif(func.concat_ws(_word(" "), *names), _word(""))


def _status(ended_at: ColumnElement[Any]) -> ColumnElement[Any]:
    """Whether a ride goes on."""
    return case((ended_at.is_(None), _word(RideStatus.LIVE)), else_=_word(RideStatus.ENDED))


def _object(fields: Fields) -> ColumnElement[Any]:
    """A JSON object within a row."""
    pairs = ((_word(name), _written(value)) for name, value in fields.items())
    return func.json_build_object(*(part for pair in pairs for part in pair))


def _written(value: ColumnElement[Any]) -> ColumnElement[Any]:
    """A time as text, as Python writes it too; all else as it is."""
    if not isinstance(value.type, DateTime):
        return value
    return func.replace(func.to_char(value, _TIME), *_NO_FRACTION)
