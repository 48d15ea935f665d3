"""CORE: rides of a window: which are meant, and what they add up to."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

import pandas as pd

from deloton import age_bands

NOT_KNOWN: Final = "not known"
AGE_BANDS: Final = (*age_bands.AGE_BANDS, NOT_KNOWN)
GENDERS: Final = ("female", "male", "other", "unknown")

# Windows in hours, and the resolutions (pandas' words) that make readable lines of them.
WINDOWS_H: Final = {"1 h": 1, "6 h": 6, "12 h": 12, "24 h": 24, "3 days": 72, "7 days": 168}
RESOLUTIONS: Final = {"5 min": "5min", "15 min": "15min", "1 h": "1h", "6 h": "6h", "1 day": "1D"}
_MOST_POINTS = 300
_FEWEST_POINTS = 4

DURATION_STEP_S: Final = 60


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
    """Rides as stored, with `started` (wall clock of the zone), `age_band`, `hour_no`, `minutes`.

    `hour_no` counts hours of that wall clock since 1970; `minutes` is the full minutes ridden.
    """
    rides = rides.copy()
    zone = ZoneInfo(time_zone)
    at = pd.to_datetime(rides["started_at"], utc=True)
    rides["started"] = at.dt.tz_convert(zone).dt.tz_localize(None).astype("datetime64[s]")
    rides["hour_no"] = rides["started"].astype("int64") // 3600
    ages = rides["age"].astype("float64")
    edges = [float("-inf"), *age_bands.BAND_STARTS, float("inf")]
    bands = pd.cut(ages, edges, right=False, labels=list(age_bands.AGE_BANDS))
    rides["age_band"] = bands.cat.add_categories(NOT_KNOWN).fillna(NOT_KNOWN)
    rides["gender"] = pd.Categorical(rides["gender"], categories=list(GENDERS))
    numbers = [column for column in rides if column.endswith(("_s", "_bpm", "_watts", "_kj"))]
    rides[[*numbers, "reading_count"]] = rides[[*numbers, "reading_count"]].astype("float64")
    rides["minutes"] = rides["duration_s"] // DURATION_STEP_S
    return rides


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


def headline(rides: pd.DataFrame) -> dict[str, float]:
    """What the rides add up to: counts, seconds, watts (total: the sum of all readings)."""
    measured = rides.dropna(subset=["mean_power_watts"])
    readings = measured["reading_count"].sum()
    weighted = (measured["mean_power_watts"] * measured["reading_count"]).sum()
    return {
        "rides": float(len(rides)),
        "riders": float(rides["rider_id"].nunique()),
        "duration_s": float(rides["duration_s"].sum()),
        "total_power_watts": float(rides["total_power_watts"].sum()),
        "mean_power_watts": weighted / readings if readings else float("nan"),
    }


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
    counts = rides["age_band"].value_counts().reindex(list(AGE_BANDS), fill_value=0)
    if not counts[NOT_KNOWN]:
        counts = counts.drop(NOT_KNOWN)
    return counts.rename_axis("age_band").reset_index(name="rides")


def by_hour(rides: pd.DataFrame, first: pd.Timestamp, last: pd.Timestamp) -> pd.DataFrame:
    """A row per hour from `first` to `last` (wall clock), empty ones too: `hour_no`, `at`, `rides`.

    `at` is the hour's beginning as ISO text, which browsers take as wall clock time.
    """
    hours = pd.date_range(first.floor("h"), last.floor("h"), freq="h", unit="s")
    numbers = hours.astype("int64") // 3600
    counts = rides["hour_no"].value_counts().reindex(numbers, fill_value=0)
    at = hours.strftime("%Y-%m-%dT%H:%M:%S")
    until = (hours + pd.Timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%S")
    return pd.DataFrame({"hour_no": numbers, "at": at, "until": until, "rides": counts.to_numpy()})


def by_duration(rides: pd.DataFrame) -> pd.DataFrame:
    """A row per full minute that rides lasted: `minutes`, `to_minutes`, `rides`."""
    counts = rides["minutes"].dropna().astype("int64").value_counts().sort_index()
    found = counts.rename_axis("minutes").reset_index(name="rides")
    found["to_minutes"] = found["minutes"] + 1
    return found


def resolutions_for(window_h: int) -> list[str]:
    """The resolutions that give a window's line a readable number of points."""
    spans = {name: pd.Timedelta(rule).total_seconds() for name, rule in RESOLUTIONS.items()}
    window_s = window_h * 3600
    return [n for n, s in spans.items() if _FEWEST_POINTS <= window_s / s <= _MOST_POINTS]


def power_over_time(
    rides: pd.DataFrame, first: pd.Timestamp, last: pd.Timestamp, resolution: str
) -> pd.DataFrame:
    """A row per step of the resolution: `at`, `rides`, and power by when rides began.

    `mean_watts` is empty where no one rode; `total_kw` and its running sum `cumulative_kw` are
    the company's figure, the sum of all readings' watts.
    """
    rule = RESOLUTIONS[resolution]
    steps = rides["started"].dt.floor(rule)
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
        .groupby(steps)
        .sum()
    )
    index = pd.date_range(first.floor(rule), last.floor(rule), freq=rule, unit="s")
    sums = sums.reindex(index, fill_value=0)
    mean = sums["weighted"] / sums["readings"].where(sums["readings"] > 0)
    return pd.DataFrame(
        {
            "at": index.strftime("%Y-%m-%dT%H:%M:%S"),
            "rides": sums["rides"].to_numpy(),
            "mean_watts": mean.to_numpy(),
            "total_kw": sums["watts"].to_numpy() / 1000,
            "cumulative_kw": sums["watts"].cumsum().to_numpy() / 1000,
        }
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
            "Mean power (W)": rides["mean_power_watts"].round(1),
            "Highest power (W)": rides["max_power_watts"].round(1),
            "Energy (kJ)": rides["energy_kj"].round(1),
            "Mean heart rate (bpm)": rides["mean_heart_rate_bpm"].round(0),
            "Highest heart rate (bpm)": rides["max_heart_rate_bpm"],
        }
    )
