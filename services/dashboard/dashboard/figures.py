"""CORE: what is computed from the rows of rides under way before it is shown."""

from datetime import date
from functools import lru_cache
from typing import Final

import pandas as pd

from deloton.heart_rate import (
    PLAUSIBLE_AGES,
    ZONES,
    LimitPolicy,
    OwnLimits,
    age_on,
    expected_maximum_bpm,
    limits_of,
    zone_of,
)
from deloton.ride_figures import time_in_zones

POLICY: Final = LimitPolicy()
LEVELS: Final = ("low", "high", "critical")
_RANK: Final = {"critical": 0, "high": 1, "low": 2, "": 3}
WHO: Final = ("name", "bike_serial")
SHARE_STEP_PERCENT: Final = 2
# In percent of the expected maximum; whoever is beyond counts at the end.
SHARES_SHOWN: Final = (40, 112)

# How riders can be sorted below those in danger: label → column, and whether the smallest is first.
SORTS: Final = {
    "% of maximum": ("share_percent", False),
    "Power": ("power_watts", False),
    "Name": ("name", True),
    "Just started": ("elapsed_s", True),
}

# Bests that a ride may be beating while it goes on: metric → label, unit. A mean of a few seconds
# beats everything, so means count from here on.
BEST_LABELS: Final = {
    "max_power_watts": ("Highest power", "W"),
    "mean_power_watts": ("Mean power", "W"),
    "energy_kj": ("Energy", "kJ"),
    "max_cadence_rpm": ("Highest cadence", "rpm"),
    "duration_s": ("Longest ride", "s"),
}
MEANS_COUNT_FROM_S: Final = 180
TOTALS: Final = (*BEST_LABELS, "mean_heart_rate_bpm", "max_heart_rate_bpm")


@lru_cache(maxsize=8192)
def bounds_of(
    age: int | None, low_bpm: int | None, high_bpm: int | None, critical_bpm: int | None
) -> tuple[float, float, float, float]:
    """Expected maximum, then the limits low, high and critical, in bpm; own limits go first.

    A rider of unknown age is measured by the policy's default age, as alerts are.
    """
    known = age is not None and age in PLAUSIBLE_AGES
    years = age if known and age is not None else POLICY.default_age
    limits = limits_of(age, POLICY, OwnLimits(low_bpm, high_bpm, critical_bpm))
    low, high, critical = (float(limit.bpm) for limit in limits)
    return expected_maximum_bpm(years, POLICY.maximum), low, high, critical


def with_limits(rides: pd.DataFrame, today: date) -> pd.DataFrame:
    """Rides with `age`, `maximum_bpm` and the limits that hold for the rider, in bpm."""
    rides = rides.copy()
    ages = [age_on(today, born_on) if pd.notna(born_on) else None for born_on in rides["born_on"]]
    own = rides[["low_bpm", "high_bpm", "critical_bpm"]].itertuples(index=False, name=None)
    bounds = [
        bounds_of(age, *(None if pd.isna(bpm) else int(bpm) for bpm in limits))
        for age, limits in zip(ages, own, strict=True)
    ]
    rides["age"] = pd.array(ages, dtype="Int64")
    columns = ("maximum_bpm", "low_bpm", "high_bpm", "critical_bpm")
    for position, column in enumerate(columns):
        rides[column] = pd.Series([each[position] for each in bounds], rides.index, dtype="float64")
    return rides


def with_danger(live: pd.DataFrame, today: date) -> pd.DataFrame:
    """Live rides with limits, `share_percent` of the maximum, and `level`; in danger first."""
    rides = with_limits(live, today)
    rate = rides["heart_rate_bpm"] = rides["heart_rate_bpm"].astype("float64")
    rides["share_percent"] = 100 * rate / rides["maximum_bpm"]
    rides["level"] = ""
    rides.loc[rate < rides["low_bpm"], "level"] = "low"
    rides.loc[rate >= rides["high_bpm"], "level"] = "high"
    rides.loc[rate >= rides["critical_bpm"], "level"] = "critical"
    rides["rank"] = rides["level"].map(_RANK).astype("int64")
    return sorted_by(rides, "% of maximum")


def sorted_by(rides: pd.DataFrame, sort: str) -> pd.DataFrame:
    """Rides in danger, the worst first, then all others in one of the orders of `SORTS`.

    What was not measured comes last.
    """
    column, ascending = SORTS[sort]
    return rides.sort_values(
        ["rank", column], ascending=[True, ascending], kind="stable", na_position="last"
    )


def found(rides: pd.DataFrame, text: str) -> pd.DataFrame:
    """The rides whose rider's name or bike holds a text, whatever its case."""
    if not text.strip():
        return rides
    wanted = [rides[column].str.contains(text.strip(), case=False, regex=False) for column in WHO]
    return rides[wanted[0] | wanted[1]]


def riders_by_share(rides: pd.DataFrame) -> pd.DataFrame:
    """A row per step of `SHARE_STEP_PERCENT` that hearts beat at, the lowest first.

    `from_percent`, `to_percent` of the expected maximum; `number`, `zone` (its name); `riders`.
    """
    lowest, highest = SHARES_SHOWN
    shares = rides["share_percent"].dropna().clip(lowest, highest - SHARE_STEP_PERCENT)
    steps = (shares // SHARE_STEP_PERCENT * SHARE_STEP_PERCENT).astype("int64")
    counts = steps.value_counts().sort_index()
    bars = counts.rename_axis("from_percent").reset_index(name="riders")
    zones = [zone_of(float(percent), 100) for percent in bars["from_percent"]]
    return bars.assign(
        to_percent=bars["from_percent"] + SHARE_STEP_PERCENT,
        number=[zone.number for zone in zones],
        zone=[f"{zone.number} {zone.name}" for zone in zones],
    )


def with_gaps(readings: pd.DataFrame) -> pd.DataFrame:
    """Readings by whole second of the ride; an empty row for each second that is missing."""
    if readings.empty:
        return readings
    seconds = readings.dropna(subset=["elapsed_s"]).copy()
    seconds["elapsed_s"] = seconds["elapsed_s"].astype(int)
    seconds = seconds.drop_duplicates("elapsed_s", keep="last").set_index("elapsed_s")
    if seconds.empty:
        return seconds.reset_index()
    return seconds.reindex(range(seconds.index.min(), seconds.index.max() + 1)).reset_index()


def value_before(readings: pd.DataFrame, measure: str, seconds: int) -> float | None:
    """What was measured so many seconds before the newest reading (a row a second, with gaps)."""
    if len(readings) <= seconds:
        return None
    value = readings[measure].iloc[-1 - seconds]
    return None if pd.isna(value) else float(value)


def zone_seconds(readings: pd.DataFrame, maximum_bpm: float) -> pd.DataFrame:
    """A row per zone, 1 to 5: `number`, `zone` (its name), `seconds`, `share` of those measured."""
    counts = readings["heart_rate_bpm"].dropna().astype("int64").value_counts()
    seconds = time_in_zones({int(bpm): int(count) for bpm, count in counts.items()}, maximum_bpm)
    total = sum(seconds.values())
    return pd.DataFrame(
        [
            {
                "number": zone.number,
                "zone": f"{zone.number} {zone.name}",
                "seconds": seconds[zone.number],
                "share": seconds[zone.number] / total if total else 0.0,
            }
            for zone in ZONES
        ]
    )


def figures_so_far(readings: pd.DataFrame) -> dict[str, float | None]:
    """The totals of a ride's readings (a row a second), as the ride will have them once it is over.

    None: not yet known.
    """
    if readings.empty:
        return dict.fromkeys(TOTALS)
    power = readings["power_watts"].astype("float64")
    heart_rate = readings["heart_rate_bpm"].astype("float64")
    duration_s = float(readings["elapsed_s"].max())
    return {
        "max_power_watts": power.max(),
        "mean_power_watts": power.mean() if duration_s >= MEANS_COUNT_FROM_S else None,
        "energy_kj": power.sum() / 1000,
        "max_cadence_rpm": readings["cadence_rpm"].astype("float64").max(),
        "duration_s": duration_s,
        "mean_heart_rate_bpm": heart_rate.mean(),
        "max_heart_rate_bpm": heart_rate.max(),
    }


def beside_bests(bests: pd.DataFrame, so_far: dict[str, float | None]) -> pd.DataFrame:
    """A row per figure: `metric`, `label`, `unit`, `best` (None: no ride before), `now`, `beaten`.

    Only a best of earlier rides can be beaten: a first ride beats nothing.
    """
    best_of = dict(zip(bests["metric"], bests["value"], strict=True))
    rows = []
    for metric, (label, unit) in BEST_LABELS.items():
        best, now = best_of.get(metric), so_far.get(metric)
        beaten = best is not None and now is not None and bool(now > best)
        rows.append((metric, label, unit, best, now, beaten))
    return pd.DataFrame(rows, columns=["metric", "label", "unit", "best", "now", "beaten"])
