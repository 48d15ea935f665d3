"""EDGE: how a rider is told in SQL, the same by every service: name, gender, age.

It speaks of rows called `riders`, which may be missing (a LEFT JOIN), and for the day of a ride
and the age on it of rows called `rides`.
"""

from typing import Any, Final

from sqlalchemy import ColumnElement, Integer, case, cast, extract, func, literal_column

from deloton.events import Gender
from deloton.rules.calendar import PLAUSIBLE_AGES
from deloton.store.figure_sql import in_words
from deloton.store.tables import riders

# Without the title; empty where it is not known.
NAME: Final = "concat_ws(' ', riders.first_name, riders.last_name)"
GENDER: Final = f"coalesce(riders.gender, '{Gender.UNKNOWN}')"


def years_lived(day: str) -> str:
    """Full years from birth to a day, whatever they are; NULL where the birthday is not known.

    As `calendar.age_on` counts: who was born on 29 February has the birthday on 1 March.
    """
    return in_words(_years_between(riders.c.born_on, literal_column(day)))


def age_years(day: str) -> str:
    """The age on a day, as `calendar.known_age_on` counts; NULL too where it cannot be meant."""
    return in_words(known_age(literal_column(day), riders.c.born_on))


def known_age(day: ColumnElement[Any], born_on: ColumnElement[Any]) -> ColumnElement[int]:
    """The same, of a birthday in any row, for selects of SQLAlchemy's."""
    years = _years_between(born_on, day)
    return case((years.between(PLAUSIBLE_AGES.start, PLAUSIBLE_AGES.stop - 1), years))


def _years_between(born_on: ColumnElement[Any], day: ColumnElement[Any]) -> ColumnElement[int]:
    return cast(extract("year", func.age(day, born_on)), Integer)


def day_of_ride(time_zone: str) -> str:
    """The company's day on which a ride began; `time_zone` is SQL: `$1`."""
    return f"(rides.started_at AT TIME ZONE {time_zone})::date"


def age_in_ride(time_zone: str) -> str:
    """The age on the company's day on which a ride began; `time_zone` is SQL: `$1`."""
    return age_years(day_of_ride(time_zone))
