"""CORE: how Tableau shows a column: its caption, folder, format and what it adds up by."""

from typing import Final

from msgspec import Struct

from deloton.age_bands import AGE_BANDS
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
UNITS: Final = (
    ("_watts_per_kg", " (W/kg)"),
    ("_watts", " (W)"),
    ("_bpm", " (bpm)"),
    ("_rpm", " (rpm)"),
    ("_kj", " (kJ)"),
    ("_minutes", " (min)"),
    ("_local_at", " (local)"),
    ("_at", " (UTC)"),
    ("_on", " on"),
    ("_s", " (s)"),
)

# The end of a measure's name: its format (Tableau's, of numbers) and default aggregation.
MEASURES: Final = (
    ("_share", "p0.0%", "Avg"),
    ("_watts_per_kg", "n#,##0.00;-#,##0.00", "Avg"),
    ("max_", "n#,##0;-#,##0", "Max"),
    ("mean_", "n#,##0.0;-#,##0.0", "Avg"),
    ("_minutes", "n#,##0.0;-#,##0.0", "Sum"),
    ("_kj", "n#,##0.0;-#,##0.0", "Sum"),
    ("_count", "n#,##0;-#,##0", "Sum"),
    ("duration_s", "n#,##0;-#,##0", "Sum"),
    ("power_deviation_s", "n#,##0;-#,##0", "Max"),
    ("latency_s", "n#,##0.00;-#,##0.00", "Avg"),
    ("limit_bpm", "n#,##0.0;-#,##0.0", "Avg"),
    ("heart_rate_bpm", "n#,##0;-#,##0", "Avg"),
)

# Dates that stand for a month, in Tableau's own spelling of formats.
MONTHS: Final = ("month_start", "joined_month", "rider_joined_month")
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

# The order of values whose alphabet says nothing.
ORDERS: Final = dict.fromkeys(("age_band", "rider_age_band"), (*AGE_BANDS, "unknown"))

TABLES: Final = {
    "fact_rides": "Rides",
    "fact_reading_minutes": "Minutes of rides",
    "fact_alerts": "Alerts",
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
    """The field of a column."""
    datatype, _ = TYPES[column.type]
    measure = None if _is_key(column) else _measure_of(column.name)
    number = datatype in {"integer", "real"}
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
    for ending, unit in UNITS:
        if column.endswith(ending):
            words = column.removesuffix(ending).replace("_", " ").capitalize() + unit
            break
    else:
        words = column.replace("_", " ").capitalize()
    words = words.replace("per kg", "").strip()
    return words if view == "fact_rides" else f"{words} · {TABLES[view]}"


def _is_key(column: StarColumn) -> bool:
    return column.name.endswith(("_id", "_key"))


def _format_of_dimension(name: str, *, number: bool) -> str | None:
    if name in MONTHS:
        return MONTH_FORMAT
    return NAME_FORMAT if number else None


def _measure_of(name: str) -> tuple[str, str] | None:
    for part, shown, aggregation in MEASURES:
        if name.startswith(part) if part.endswith("_") else name.endswith(part):
            return shown, aggregation
    return None
