"""EDGE: the SQL of each figure of a ride: of its readings, and of many rides together.

Names are those of `deloton.rules.figures`; a figure without SQL, or SQL without a figure, is
refused when this is imported.
"""

from collections.abc import Iterable
from typing import Any, Final

from sqlalchemy import ColumnElement, Double, FromClause, case, cast, func, true
from sqlalchemy.dialects.postgresql import asyncpg as postgresql

from deloton.rules.figures import FIGURE, FIGURES, POWER_ADDED_UP, Adds, Figure
from deloton.rules.power import (
    DENIED_WATTS,
    DEVIATION_WATTS,
    FASTEST_CADENCE_RPM,
    HIGHEST_RESISTANCE,
    fitted_power_watts,
)
from deloton.store.tables import readings, rides


def _power_off_watts(of: FromClause = readings) -> ColumnElement[float]:
    """How far a reading's power lies from what the other two give.

    NULL where one of the three was not measured, or the formula says nothing.
    """
    resistance, cadence_rpm = of.c.resistance, of.c.cadence_rpm
    fitted = fitted_power_watts(cast(resistance, Double), cast(cadence_rpm, Double))
    is_known = (resistance <= HIGHEST_RESISTANCE) & (cadence_rpm <= FASTEST_CADENCE_RPM)
    off_watts = func.abs(of.c.power_watts - func.greatest(fitted, 0.0))
    return case((is_known, off_watts), else_=None)


def power_is_off_by(watts: float, of: FromClause = readings) -> ColumnElement[bool]:
    """The condition that a reading's power lies further than that from what the other two give.

    NULL where that is not known.
    """
    return _power_off_watts(of) > watts


def in_words(condition: ColumnElement[Any]) -> str:
    """A condition, or any expression, as SQL, its values written out: for numbers of ours alone."""
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    return str(condition.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))


def _longest_run_of(condition: str) -> str:
    """How many seconds in a row a condition held, at the longest.

    A run of consecutive seconds: those whose number in the ride runs ahead of their number in the
    list by the same. A second of which a half is missing says nothing, and breaks the run.
    """
    return f"""(
        SELECT coalesce(max(run.seconds), 0) FROM (
            SELECT count(*) AS seconds FROM (
                SELECT second - row_number() OVER (ORDER BY second) AS ahead
                FROM unnest(
                    array_agg(readings.elapsed_s) FILTER (WHERE {condition})
                ) AS met (second)
            ) numbered GROUP BY ahead
        ) run
    )"""  # noqa: S608 - numbers of ours and names of columns


_DEVIATES = f"readings.power_off_watts > {DEVIATION_WATTS}"
_IS_DENIED = f"readings.power_off_watts > {DENIED_WATTS}"

# Aggregates of rows called `readings`, as `readings_for_figures` gives them.
OF_READINGS: Final = {
    "reading_count": "count(*)",
    "duration_s": "coalesce(max(readings.elapsed_s), 0)",
    "mean_heart_rate_bpm": "avg(readings.heart_rate_bpm)",
    "max_heart_rate_bpm": "max(readings.heart_rate_bpm)",
    "heart_rate_count": "count(readings.heart_rate_bpm)",
    "mean_cadence_rpm": "avg(readings.cadence_rpm)",
    "max_cadence_rpm": "max(readings.cadence_rpm)",
    "mean_power_watts": "avg(readings.power_watts)",
    "max_power_watts": f"max(readings.power_watts) FILTER (WHERE ({_IS_DENIED}) IS NOT TRUE)",
    "total_power_watts": "coalesce(sum(readings.power_watts), 0)",
    "energy_kj": "coalesce(sum(readings.power_watts), 0) / 1000",
    "mean_resistance": "avg(readings.resistance)",
    "power_deviation_s": _longest_run_of(_DEVIATES),
    "power_denied_s": f"count(*) FILTER (WHERE {_IS_DENIED})",
}
if OF_READINGS.keys() != FIGURE.keys():
    raise LookupError(f"figures and SQL differ by {sorted(OF_READINGS.keys() ^ FIGURE.keys())}")


def readings_for_figures(source: str) -> str:
    """What `of_readings` counts, to stand in a FROM: the rows of a source called `readings`.

    The formula of power is the dearest that is done with a reading: OFFSET 0 has it reckoned
    once, and not again for each figure that asks for it.
    """
    off_watts = in_words(_power_off_watts())
    return f"""(
        SELECT readings.*, {off_watts} AS power_off_watts FROM {source} OFFSET 0
    ) readings"""  # noqa: S608 - numbers of ours and what the caller names


def of_readings(figures: Iterable[Figure] = FIGURES) -> str:
    """The figures as a select list over `readings_for_figures`, each under its name."""
    return ",\n".join(f"{OF_READINGS[figure.name]} AS {figure.name}" for figure in figures)


def of_rides(name: str) -> str:
    """What a figure of rows called `rides` comes to: a sum (0 of none), the highest, or the mean.

    A mean is of seconds, not of rides: a ride counts by its readings, or by those that hold a
    heart rate. Of rides from before those were counted, all readings stand for them.
    """
    figure = FIGURE[name]
    column = f"rides.{name}"
    match figure.adds:
        case Adds.SUM:
            return f"coalesce(sum({column}), 0)"
        case Adds.MAX:
            return f"max({column})"
        case Adds.MEAN:
            seconds = f"coalesce(rides.{figure.weight}, rides.reading_count)"
            return (
                f"(sum({column} * {seconds})"
                f" / nullif(sum({seconds}) FILTER (WHERE {column} IS NOT NULL), 0))"
            )


def may_lead(name: str, of: FromClause = rides) -> ColumnElement[bool]:
    """The condition on rides under which a figure of them may be a best or lead a list."""
    return func.coalesce(of.c.power_denied_s, 0) == 0 if name in POWER_ADDED_UP else true()


# The share of the seconds of many rides with hands on the bar, where those were counted.
CONTACT_SHARE: Final = """(
    sum(rides.heart_rate_count)::float
    / nullif(sum(rides.reading_count) FILTER (WHERE rides.heart_rate_count IS NOT NULL), 0)
)"""
