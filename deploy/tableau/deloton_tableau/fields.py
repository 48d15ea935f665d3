"""CORE: how Tableau shows a column: its caption, folder, format and what it adds up by."""

from typing import Final

from msgspec import Struct

from deloton.rules import figures
from deloton.rules.figures import Adds
from deloton_tableau.star import StarColumn, StarView

# PostgreSQL's type: Tableau's, and the number ODBC gives it.
TYPES: Final = {
    "bigint": ("integer", 20),
    "integer": ("integer", 3),
    "smallint": ("integer", 2),
    "double precision": ("real", 5),
    "text": ("string", 129),
    "date": ("date", 7),
    "timestamp with time zone": ("datetime", 135),
    "timestamp without time zone": ("datetime", 135),
    "boolean": ("boolean", 11),
}

# How the end of a name reads in a caption; the first that fits.
UNITS: Final = {
    "_at": " (UTC)",
    "_on": " on",
    **{ending: f" ({unit})" for ending, unit in figures.UNITS.items()},
}

# Formats of numbers, in Tableau's spelling, by their decimals.
DECIMALS: Final = ("n#,##0;-#,##0", "n#,##0.0;-#,##0.0", "n#,##0.00;-#,##0.00")
_AGGREGATIONS: Final = {Adds.SUM: "Sum", Adds.MAX: "Max", Adds.MEAN: "Avg"}

# Numbers that are measured: the format and the default aggregation. First the figures of rides.
MEASURES: Final = {
    **{
        figure.name: (
            DECIMALS[1 if figure.adds is Adds.MEAN else figure.decimals],
            _AGGREGATIONS[figure.adds],
        )
        for figure in figures.FIGURES
    },
    "contact_share": ("p0.0%", "Avg"),
    "rider_count": (DECIMALS[0], "Max"),
    "ride_count": (DECIMALS[0], "Sum"),
    "alert_count": (DECIMALS[0], "Sum"),
    "mean_latency_s": (DECIMALS[2], "Avg"),
    "mean_recovered_s": (DECIMALS[0], "Avg"),
    "waiting_ride_count": (DECIMALS[0], "Sum"),
}

# Numbers that name something.
NAMES: Final = frozenset(
    {
        *("ride_id", "rider_key", "minute", "started_hour", "started_weekday"),
        *("months_since_joining", "limit_from_bpm", "iso_year", "year", "quarter", "month"),
        *("iso_week", "weekday"),
    }
)

# Dates that stand for a month, in Tableau's own spelling of formats.
MONTHS: Final = ("month_start", "joined_month", "ridden_month")
MONTH_FORMAT: Final = "*mmm yyyy"
# Of numbers that name something, such as years and keys: 2026, not 2,026.
NAME_FORMAT: Final = "*0"

# How values read, in place of the values.
ALIASES: Final = {
    "started_weekday": {
        "1": "Monday",
        "2": "Tuesday",
        "3": "Wednesday",
        "4": "Thursday",
        "5": "Friday",
        "6": "Saturday",
        "7": "Sunday",
    }
}

TABLES: Final = {
    "fact_rides": "Rides",
    "fact_reading_minutes": "Minutes of rides",
    "fact_retention": "Retention",
    "fact_alerts": "Alerts",
    "fact_alert_limits": "Limits of alerts",
    "dim_riders": "Riders",
    "dim_bikes": "Bikes",
    "dim_dates": "Dates",
    "refreshes": "Freshness",
}


class Field(Struct, frozen=True, kw_only=True):
    """A column as a field of the data source; `name` is unique in it, without brackets.

    A calculated field has a formula, and names the field whose values it counts.
    """

    name: str
    view: str
    column: StarColumn
    caption: str
    datatype: str
    role: str
    type: str
    aggregation: str | None = None
    format: str | None = None
    formula: str | None = None
    counts: str | None = None


def name_in_source(view: str, column: str) -> str:
    """The field's name, which stays whatever other tables join: `started_on (fact_rides)`."""
    return f"{column} ({view})"


def field_of(view: StarView, column: StarColumn) -> Field:
    """The field of a column; raises `LookupError` for a number that nobody told the meaning of."""
    datatype, _ = TYPES[column.type]
    number = datatype in {"integer", "real"}
    measure = MEASURES.get(column.name) if number else None
    if number and not measure and column.name not in NAMES:
        raise LookupError(
            f"{view.name}.{column.name} is a number that is neither among MEASURES nor NAMES"
        )
    dates = datatype in {"date", "datetime"}
    return Field(
        name=name_in_source(view.name, column.name),
        view=view.name,
        column=column,
        caption=caption_of(view.name, column.name),
        datatype=datatype,
        role="measure" if measure else "dimension",
        type="quantitative" if measure else "ordinal" if number or dates else "nominal",
        aggregation=measure[1] if measure else "Year" if dates else "Count",
        format=measure[0] if measure else _format_of_dimension(column.name, number=number),
    )


def caption_of(view: str, column: str) -> str:
    """What analysts read: `Mean power (W)`; of facts other than rides with the table's name."""
    figure = figures.FIGURE.get(column)
    words = figure.titled if figure else _words_of(column)
    return words if view == "fact_rides" else f"{words} · {TABLES[view]}"


def _words_of(column: str) -> str:
    ending = next((ending for ending in UNITS if column.endswith(ending)), "")
    words = column.removesuffix(ending).replace("_", " ").capitalize()
    return words + UNITS.get(ending, "")


def _format_of_dimension(name: str, *, number: bool) -> str | None:
    if name in MONTHS:
        return MONTH_FORMAT
    return NAME_FORMAT if number else None
