"""CORE: the figures of a ride, each declared once: its words, its unit, how it adds up.

A figure is what the readings of a ride come to once the ride is over. Its SQL stands under the
same name in `deloton.store.figure_sql`; from both come the tables' columns, the API's fields, the
star, Tableau's measures, the pages' tiles and the bests of riders. What stands elsewhere by
hand (migrations, the oracle) is compared with them by tests.
"""

from enum import StrEnum
from typing import Final

from msgspec import Struct

from deloton.rules.power import DENIED_WATTS, DEVIATION_WATTS, FAULTY_AFTER_S


class Adds(StrEnum):
    """How one figure of several rides is told: the mean is that of their seconds.

    Tableau alone takes the mean of rides, until somebody weighs it (`docs/tableau.md`).
    """

    SUM = "sum"
    MAX = "max"
    MEAN = "mean"


class Number(StrEnum):
    """What numbers a figure takes: whole ones up to 32,767, up to 2^31, or any."""

    SMALL = "small"
    WHOLE = "whole"
    REAL = "real"


class Figure(Struct, frozen=True, kw_only=True):
    """A figure of a ride; `name` is its column, and ends with its unit.

    `title` is what people read above it. `meaning` explains it to whoever reads the tables, the
    API's document or Tableau. `weight` names the figure that counts the seconds of a mean.
    `decimals` are those of one ride's tile. `of_minutes`: analysts see it minute by minute too.
    """

    name: str
    title: str
    meaning: str
    adds: Adds
    example: float
    number: Number = Number.REAL
    weight: str | None = None
    decimals: int = 0
    in_api: bool = True
    in_star: bool = True
    of_minutes: bool = False

    @property
    def unit(self) -> str:
        """The unit that ends the name; empty for counts and the bikes' own level."""
        return unit_of(self.name)

    @property
    def titled(self) -> str:
        """The title with the unit: `Mean power (W)`."""
        return f"{self.title} ({self.unit})" if self.unit else self.title


# The end of a name, and how its unit is written.
UNITS: Final = {"_watts": "W", "_bpm": "bpm", "_rpm": "rpm", "_kj": "kJ", "_s": "s"}


def unit_of(name: str) -> str:
    """The unit that ends a name, as it is written; empty where there is none."""
    return next((unit for ending, unit in UNITS.items() if name.endswith(ending)), "")


# In the order in which they are told.
FIGURES: Final = (
    Figure(
        name="reading_count",
        title="Readings",
        meaning="Readings that came; one stands for one second.",
        adds=Adds.SUM,
        number=Number.WHOLE,
        example=520,
        of_minutes=True,
    ),
    Figure(
        name="duration_s",
        title="Duration",
        meaning="How long it took, in seconds, by the bike's own count.",
        adds=Adds.SUM,
        example=520.0,
    ),
    Figure(
        name="mean_heart_rate_bpm",
        title="Mean heart rate",
        meaning="Mean heart rate in beats a minute, of readings that hold one.",
        adds=Adds.MEAN,
        weight="heart_rate_count",
        example=131.4,
        of_minutes=True,
    ),
    Figure(
        name="max_heart_rate_bpm",
        title="Highest heart rate",
        meaning="Highest heart rate, in beats a minute.",
        adds=Adds.MAX,
        number=Number.SMALL,
        example=158,
        of_minutes=True,
    ),
    Figure(
        name="heart_rate_count",
        title="Readings with a heart rate",
        meaning="Readings with a heart rate: the hands were on the bar.",
        adds=Adds.SUM,
        number=Number.WHOLE,
        example=431,
        in_api=False,
        of_minutes=True,
    ),
    Figure(
        name="mean_cadence_rpm",
        title="Mean cadence",
        meaning="Mean cadence, in turns of the pedals a minute.",
        adds=Adds.MEAN,
        weight="reading_count",
        example=61.2,
        of_minutes=True,
    ),
    Figure(
        name="max_cadence_rpm",
        title="Highest cadence",
        meaning="Highest cadence, in turns of the pedals a minute.",
        adds=Adds.MAX,
        number=Number.SMALL,
        example=104,
    ),
    Figure(
        name="mean_power_watts",
        title="Mean power",
        meaning="Mean power, in watts.",
        adds=Adds.MEAN,
        weight="reading_count",
        example=118.6,
        of_minutes=True,
    ),
    Figure(
        name="max_power_watts",
        title="Highest power",
        meaning="Highest power of a second, in watts.",
        adds=Adds.MAX,
        example=905.3,
        of_minutes=True,
    ),
    Figure(
        name="total_power_watts",
        title="Total power",
        meaning="The sum of all readings' watts: the company's own figure.",
        adds=Adds.SUM,
        example=61672.0,
        in_star=False,
    ),
    Figure(
        name="energy_kj",
        title="Energy",
        meaning="Energy put into the pedals, in kilojoules: a reading stands for one second.",
        adds=Adds.SUM,
        decimals=1,
        example=61.672,
        of_minutes=True,
    ),
    Figure(
        name="mean_resistance",
        title="Mean resistance",
        meaning="Mean resistance: the bike's own level, without a unit.",
        adds=Adds.MEAN,
        weight="reading_count",
        example=36.9,
        of_minutes=True,
    ),
    Figure(
        name="power_deviation_s",
        title="Power deviates",
        meaning=(
            f"The longest run of seconds whose power was more than {DEVIATION_WATTS:.0f} W beside "
            f"what resistance and cadence give. From {FAULTY_AFTER_S} s on the bike's power sensor "
            "is probably broken: leave the ride's power out. Not known of old rides."
        ),
        adds=Adds.MAX,
        number=Number.WHOLE,
        example=0,
    ),
    Figure(
        name="power_denied_s",
        title="Power that cannot be",
        meaning=(
            f"Seconds whose power was more than {DENIED_WATTS:.0f} W beside what resistance and "
            "cadence give: they are left out of the highest power, and a ride with one of them is "
            "nobody's best and leads no list by mean power or energy. Not known of old rides."
        ),
        adds=Adds.SUM,
        number=Number.WHOLE,
        example=0,
        in_api=False,
        in_star=False,
    ),
)

FIGURE: Final = {figure.name: figure for figure in FIGURES}

# In which a rider has a best, the higher the better, and what people read above it.
BESTS: Final = {
    "max_power_watts": "Highest power",
    "mean_power_watts": "Mean power",
    "energy_kj": "Energy",
    "max_cadence_rpm": "Highest cadence",
    "max_heart_rate_bpm": "Highest heart rate",
    "duration_s": "Longest ride",
}

# Spoilt by a second whose power cannot be; a highest value leaves such seconds out.
POWER_ADDED_UP: Final = frozenset({"mean_power_watts", "total_power_watts", "energy_kj"})

# By which riders are ranked, each by the best ride; an index keeps the order of each.
LEADERS: Final = {
    "max_power_watts": "Highest power",
    "mean_power_watts": "Mean power",
    "energy_kj": "Energy of a ride",
}
