"""CORE: the workbook's sheets as a table, and the rule that no mark tells of too few riders."""

from typing import Final

from msgspec import Struct

from deloton_tableau.fields import Field, caption_of, name_in_source
from deloton_tableau.star import StarColumn


class Pill(Struct, frozen=True):
    """A field on a shelf; derivation in Tableau's words: None, Sum, Avg, Count, CountD or User."""

    view: str
    column: str
    derivation: str = "None"

    @property
    def field(self) -> str:
        """The field's name in the source."""
        return name_in_source(self.view, self.column)


class Sheet(Struct, frozen=True):
    """A worksheet: a title, a mark, and which pills lie where.

    All pills are of one table, so that what Tableau asks relates nothing. Marks of fewer riders
    than `FEWEST_RIDERS` are filtered out, unless each mark is meant to be a single rider, or the
    table's own rows are of ten riders and more.
    """

    title: str
    mark: str
    columns: tuple[Pill, ...]
    rows: tuple[Pill, ...]
    colour: Pill | None = None
    shows_single_riders: bool = False

    @property
    def pills(self) -> tuple[Pill, ...]:
        """What lies on the shelves, each once."""
        return tuple(dict.fromkeys([*self.columns, *self.rows, *filter(None, [self.colour])]))

    @property
    def view(self) -> str:
        """The one table that the sheet asks."""
        [view] = {pill.view for pill in self.pills}
        return view

    @property
    def guard(self) -> Pill | None:
        """What has to be true of a mark."""
        if self.shows_single_riders or self.view not in GUARDED_VIEWS:
            return None
        return Pill(self.view, GUARD, "User")


class Parameter(Struct, frozen=True):
    """A whole number that whoever looks at a sheet may set, within bounds."""

    name: str
    caption: str
    value: int
    least: int
    most: int


PARAMETERS: Final = "Parameters"
FEWEST_RIDERS: Final = Parameter("Parameter 1", "Fewest riders", value=10, least=10, most=100)
GUARD: Final = "enough_riders"
GUARDED_VIEWS: Final = ("fact_rides",)

_GUARD_MEANING: Final = (
    "Whether a mark tells of at least as many riders as the parameter says. "
    "On the filter shelf, at True, it keeps away what could be one person."
)


def guard_field(view: str) -> Field:
    """The calculated field that counts a table's riders."""
    riders = name_in_source(view, "rider_key")
    return Field(
        name=name_in_source(view, GUARD),
        view=view,
        column=StarColumn(GUARD, "boolean", _GUARD_MEANING),
        caption=caption_of(view, GUARD),
        datatype="boolean",
        role="measure",
        type="nominal",
        formula=f"COUNTD([{riders}]) >= [{PARAMETERS}].[{FEWEST_RIDERS.name}]",
        counts=riders,
    )


RIDES = Pill("fact_rides", "ride_id", "Count")
SHEETS: Final = (
    Sheet(
        "Rides per day by gender",
        "Area",
        (Pill("fact_rides", "started_on"),),
        (RIDES,),
        Pill("fact_rides", "rider_gender"),
    ),
    Sheet(
        "Power and heart rate by years of birth",
        "Bar",
        (Pill("fact_rides", "rider_born_in"),),
        (
            Pill("fact_rides", "mean_power_watts", "Avg"),
            Pill("fact_rides", "mean_heart_rate_bpm", "Avg"),
        ),
    ),
    Sheet(
        "Rides by hour and weekday",
        "Square",
        (Pill("fact_rides", "started_hour"),),
        (Pill("fact_rides", "started_weekday"),),
        RIDES,
    ),
    Sheet(
        "Retention by joining month",
        "Square",
        (Pill("fact_retention", "months_since_joining"),),
        (Pill("fact_retention", "joined_month"),),
        Pill("fact_retention", "rider_count", "Sum"),
    ),
    Sheet(
        "Alerts per week",
        "Bar",
        (Pill("fact_alerts", "measured_week"),),
        (Pill("fact_alerts", "alert_count", "Sum"),),
        Pill("fact_alerts", "level"),
    ),
    Sheet(
        "Leaders",
        "Bar",
        (Pill("fact_rides", "energy_kj", "Sum"),),
        (Pill("fact_rides", "rider_key"),),
        shows_single_riders=True,
    ),
)
