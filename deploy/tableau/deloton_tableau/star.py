"""CORE: what schema `analytics` holds: its views, and what is known of each column."""

from msgspec import Struct

SCHEMA = "analytics"

# In the order in which people read of them.
VIEWS = (
    "fact_rides",
    "fact_reading_minutes",
    "fact_retention",
    "fact_alerts",
    "fact_alert_limits",
    "dim_riders",
    "dim_bikes",
    "dim_dates",
    "refreshes",
)


class StarColumn(Struct, frozen=True):
    """A column: its name, its PostgreSQL type, and its comment."""

    name: str
    type: str
    comment: str


class StarView(Struct, frozen=True):
    """A view of the star, its comment and its columns in order."""

    name: str
    comment: str
    columns: tuple[StarColumn, ...]
