"""CORE: rides of a window: which are meant, and what they add up to."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import pandas as pd

from dashboard.clock_steps import steps_holding, steps_of_days
from deloton.rules import age_bands
from deloton.rules.calendar import ONE_DAY, ONE_HOUR
from deloton.rules.figures import FIGURE

NOT_KNOWN: Final = "not known"
AGE_BANDS: Final = (*age_bands.AGE_BANDS, NOT_KNOWN)
GENDERS: Final = ("female", "male", "other", "unknown")

# Windows in hours, and the resolutions that make readable lines of them.
WINDOWS_H: Final = {"1 h": 1, "6 h": 6, "12 h": 12, "24 h": 24, "3 days": 72, "7 days": 168}
RESOLUTIONS: Final = {
    "5 min": timedelta(minutes=5),
    "15 min": timedelta(minutes=15),
    "1 h": ONE_HOUR,
    "6 h": 6 * ONE_HOUR,
    "1 day": ONE_DAY,
}
_MOST_POINTS = 300
_FEWEST_POINTS = 4

DURATION_STEP_S: Final = 60

# The figures of a ride's row, besides its duration: with how many decimals.
TOLD: Final = {
    "mean_power_watts": 1,
    "max_power_watts": 1,
    "energy_kj": 1,
    "mean_heart_rate_bpm": 0,
    "max_heart_rate_bpm": 0,
}
# What is asked of each ride: the same, and what the window adds up to.
FIGURES_OF_A_RIDE: Final = ("reading_count", "duration_s", "total_power_watts", *TOLD)
ONE_DECIMAL: Final = (
    "Duration (min)",
    *(FIGURE[name].titled for name, decimals in TOLD.items() if decimals),
)


@dataclass(frozen=True)
class Filters:
    """Which rides are meant; an empty choice means all."""

    genders: tuple[str, ...] = ()
    age_bands: tuple[str, ...] = ()
    towns: tuple[str, ...] = ()
    bikes: tuple[str, ...] = ()

    def choices(self) -> dict[str, tuple[str, ...]]:
        """The column of each choice, and what may stand in it."""
        chosen = {
            "gender": self.genders,
            "age_band": self.age_bands,
            "town": self.towns,
            "bike_serial": self.bikes,
        }
        return {column: values for column, values in chosen.items() if values}


def prepared(rides: pd.DataFrame, time_zone: str) -> pd.DataFrame:
    """Rides as stored, with `started` (wall clock of the zone), `age_band`, `hour`, `minutes`.

    `hour` is when the hour of the company began in which the ride did, in milliseconds since 1970;
    `minutes` is the full minutes ridden.
    """
    rides = rides.copy()
    zone = ZoneInfo(time_zone)
    at = rides["started_at"] = pd.to_datetime(rides["started_at"], utc=True)
    rides["started"] = at.dt.tz_convert(zone).dt.tz_localize(None).astype("datetime64[s]")
    rides["hour"] = _hours_of(at, zone)
    ages = rides["age"].astype("float64")
    edges = [float("-inf"), *age_bands.BAND_STARTS, float("inf")]
    bands = pd.cut(ages, edges, right=False, labels=list(age_bands.AGE_BANDS))
    rides["age_band"] = bands.cat.add_categories(NOT_KNOWN).fillna(NOT_KNOWN)
    rides["gender"] = pd.Categorical(rides["gender"], categories=list(GENDERS))
    rides[[*FIGURES_OF_A_RIDE]] = rides[[*FIGURES_OF_A_RIDE]].astype("float64")
    rides["minutes"] = rides["duration_s"] // DURATION_STEP_S
    return rides


def _hours_of(at: "pd.Series[pd.Timestamp]", zone: ZoneInfo) -> "pd.Series[int]":
    if at.empty:
        return pd.Series(index=at.index, dtype="int64")
    hours = steps_of_days(at, ONE_HOUR, zone)
    return pd.Series(hours.ms[hours.numbers_of(at)], index=at.index)


def filtered(rides: pd.DataFrame, filters: Filters) -> pd.DataFrame:
    """The rides that are meant."""
    return picked(rides, filters.choices())


def picked(rides: pd.DataFrame, choices: Mapping[str, tuple[object, ...]]) -> pd.DataFrame:
    """The rides that have one of the chosen values in each column."""
    for column, values in choices.items():
        rides = rides[rides[column].isin(list(values))]
    return rides


def others(picks: Mapping[str, tuple[object, ...]], own: str) -> dict[str, tuple[object, ...]]:
    """All picks but a chart's own: a chart keeps showing what else could be picked in it."""
    return {column: values for column, values in picks.items() if column != own}


def ended(rides: pd.DataFrame) -> pd.DataFrame:
    """The rides that are over; the others have no figures yet."""
    return rides[rides["ended_at"].notna()]


def headline(rides: pd.DataFrame) -> dict[str, float]:
    """What ended rides add up to: counts, seconds, watts (total: the sum of all readings)."""
    parts = parts_of_mean(rides, "mean_power_watts").agg(["sum"])
    return {
        "rides": float(len(rides)),
        "riders": float(rides["rider_id"].nunique()),
        "duration_s": float(rides["duration_s"].sum()),
        "total_power_watts": float(rides["total_power_watts"].sum()),
        "mean_power_watts": float(mean_of(parts)["sum"]),
    }


def parts_of_mean(rides: pd.DataFrame, name: str) -> pd.DataFrame:
    """A row a ride: what it adds to the mean of a figure's seconds, `weighed`, and its `seconds`.

    As `figure_sql.of_rides` does it in the database.
    """
    seconds = rides[FIGURE[name].weight].where(rides[name].notna(), 0.0)
    return pd.DataFrame({"weighed": (rides[name] * seconds).fillna(0.0), "seconds": seconds})


def mean_of(parts: pd.DataFrame) -> pd.Series:
    """The mean that the parts of each row come to; NaN of none."""
    return parts["weighed"] / parts["seconds"]


def gender_shares(rides: pd.DataFrame) -> pd.DataFrame:
    """A row per gender and measure (`Rides`, `Time ridden`): `gender`, `of`, `share`, `amount`.

    The shares of a measure stand on one another, from `from` to `to`.
    """
    groups = rides.groupby("gender", observed=True)
    parts = {"Rides": groups.size(), "Time ridden": groups["duration_s"].sum()}
    shares = pd.concat(
        amounts.rename("amount").reset_index().assign(of=of) for of, amounts in parts.items()
    )
    by_measure = shares.groupby("of")["amount"]
    totals = by_measure.transform("sum").replace(0, float("nan"))
    shares["share"] = (shares["amount"] / totals).fillna(0.0)
    shares["to"] = (by_measure.cumsum() / totals).fillna(0.0)
    shares["from"] = shares["to"] - shares["share"]
    return shares


def by_age_band(rides: pd.DataFrame) -> pd.DataFrame:
    """A row per age band, youngest first: `age_band`, `rides`."""
    counts = rides["age_band"].value_counts().reindex(list(AGE_BANDS))
    if not counts[NOT_KNOWN]:
        counts = counts.drop(NOT_KNOWN)
    return counts.rename_axis("age_band").reset_index(name="rides")


def by_hour(rides: pd.DataFrame, span: tuple[datetime, datetime], zone: ZoneInfo) -> pd.DataFrame:
    """A row per hour of a span, empty ones too, and of every ride: `hour`, `rides`, and its time.

    `at`, `until` and `clock` as `Steps.table` gives them; `hour` is `at`, to be picked by.
    """
    hours = steps_holding(rides["started_at"], ONE_HOUR, zone, span=span)
    counts = hours.numbers_of(rides["started_at"]).value_counts()
    shown = hours.table()
    return shown.assign(
        hour=shown["at"], rides=counts.reindex(range(len(hours)), fill_value=0).to_numpy()
    )


def by_duration(rides: pd.DataFrame) -> pd.DataFrame:
    """A row per full minute that rides lasted: `minutes`, `to_minutes`, `rides`."""
    counts = rides["minutes"].dropna().astype("int64").value_counts().sort_index()
    found = counts.rename_axis("minutes").reset_index(name="rides")
    found["to_minutes"] = found["minutes"] + 1
    return found


def resolutions_for(window_h: int) -> list[str]:
    """The resolutions that give a window's line a readable number of points."""
    window = window_h * ONE_HOUR
    return [
        name
        for name, step in RESOLUTIONS.items()
        if _FEWEST_POINTS <= window / step <= _MOST_POINTS
    ]


def power_over_time(
    rides: pd.DataFrame, span: tuple[datetime, datetime], resolution: str, zone: ZoneInfo
) -> pd.DataFrame:
    """A row per step of the resolution, with `Steps.table`'s columns, `rides`, and their power.

    A ride counts where it began. `mean_watts` is empty where no one rode; `total_kw` and its
    running sum `cumulative_kw` are the company's figure, the sum of all readings' watts.
    """
    steps = steps_holding(rides["started_at"], RESOLUTIONS[resolution], zone, span=span)
    weighted = rides["mean_power_watts"] * rides["reading_count"]
    sums = (
        pd.DataFrame(
            {
                "rides": 1,
                "watts": rides["total_power_watts"].fillna(0),
                "weighted": weighted.fillna(0),
                "readings": rides["reading_count"].where(weighted.notna()).fillna(0),
            }
        )
        .groupby(steps.numbers_of(rides["started_at"]))
        .sum()
        .reindex(range(len(steps)), fill_value=0)
    )
    return steps.table().assign(
        rides=sums["rides"],
        mean_watts=sums["weighted"] / sums["readings"].where(sums["readings"] > 0),
        total_kw=sums["watts"] / 1000,
        cumulative_kw=sums["watts"].cumsum() / 1000,
    )


def table_of(rides: pd.DataFrame) -> pd.DataFrame:
    """Rides as staff read and download them, newest first, columns titled with units."""
    return pd.DataFrame(
        {
            "Ride": rides["ride_id"],
            "Started": rides["started"],
            "Rider": rides["name"],
            "Gender": rides["gender"].astype("str"),
            "Age": rides["age"].astype("Int64"),
            "Town": rides["town"],
            "Bike": rides["bike_serial"],
            "Duration (min)": (rides["duration_s"] / 60).round(1),
            **{FIGURE[name].titled: rides[name].round(decimals) for name, decimals in TOLD.items()},
        }
    )
