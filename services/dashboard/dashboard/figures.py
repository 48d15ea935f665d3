"""CORE: what is computed from the rows of rides under way before it is shown."""

from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

import pandas as pd

from deloton.rules.calendar import day_of, known_age_on
from deloton.rules.figures import BESTS
from deloton.rules.heart_rate import (
    ZONES,
    LimitPolicy,
    OwnLimits,
    Proof,
    expected_maximum_bpm,
    limits_of,
    time_in_zones,
    zone_of,
)

POLICY: Final = LimitPolicy()
LEVELS: Final = ("low", "high", "critical")
_OWN_AND_PROVEN: Final = ("low_bpm", "high_bpm", "critical_bpm", "proven_bpm", "proven_rides")
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

# Bests that a ride may be beating while it goes on; a high heart rate is nothing to aim at.
AIMS: Final = {metric: words for metric, words in BESTS.items() if metric != "max_heart_rate_bpm"}
# A mean of a few seconds beats everything: it counts from here on.
MEANS_COUNT_FROM_S: Final = 180
# What one ride is told by.
OF_ONE_RIDE: Final = (
    "duration_s",
    "mean_power_watts",
    "max_power_watts",
    "energy_kj",
    "mean_heart_rate_bpm",
    "max_heart_rate_bpm",
)
TOTALS: Final = tuple(dict.fromkeys([*OF_ONE_RIDE, *AIMS]))


@lru_cache(maxsize=8192)
def bounds_of(
    age: int | None, own: OwnLimits, proof: Proof | None
) -> tuple[float, float, float, float]:
    """Expected maximum, then the limits low, high and critical, in bpm; own limits go first.

    A rider of unknown age is measured by the policy's default age, as alerts are.
    """
    years = POLICY.default_age if age is None else age
    limits = limits_of(age, POLICY, own, proof)
    low, high, critical = (float(limit.bpm) for limit in limits)
    return expected_maximum_bpm(years, POLICY.maximum), low, high, critical


def with_limits(rides: pd.DataFrame, zone: ZoneInfo) -> pd.DataFrame:
    """Rides with the rider's `age` in them, `maximum_bpm` and the limits that hold, in bpm."""
    rides = rides.copy()
    ages = [
        known_age_on(day_of(started_at, zone), born_on if pd.notna(born_on) else None)
        for started_at, born_on in zip(rides["started_at"], rides["born_on"], strict=True)
    ]
    known = rides[list(_OWN_AND_PROVEN)].itertuples(index=False, name=None)
    bounds = []
    for age, values in zip(ages, known, strict=True):
        low, high, critical, bpm, proven_rides = (
            None if pd.isna(value) else int(value) for value in values
        )
        proof = Proof(bpm, proven_rides) if bpm is not None and proven_rides else None
        bounds.append(bounds_of(age, OwnLimits(low, high, critical), proof))
    rides["age"] = pd.array(ages, dtype="Int64")
    columns = ("maximum_bpm", "low_bpm", "high_bpm", "critical_bpm")
    for position, column in enumerate(columns):
        rides[column] = pd.Series([each[position] for each in bounds], rides.index, dtype="float64")
    return rides


def with_danger(live: pd.DataFrame, zone: ZoneInfo) -> pd.DataFrame:
    """Live rides with limits, `share_percent` of the maximum, and `level`; in danger first."""
    rides = with_limits(live, zone)
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


def figures_so_far(counted: pd.DataFrame) -> dict[str, float | None]:
    """The totals of a ride under way, as `Queries.so_far` counts them: one row.

    None: not yet known.
    """
    so_far = counted.iloc[0].to_dict()
    if not so_far["reading_count"]:
        return dict.fromkeys(TOTALS)
    totals = {name: None if pd.isna(so_far[name]) else float(so_far[name]) for name in TOTALS}
    if so_far["duration_s"] < MEANS_COUNT_FROM_S:
        totals["mean_power_watts"] = None
    return totals


def beside_bests(bests: pd.DataFrame, so_far: dict[str, float | None]) -> pd.DataFrame:
    """A row per figure: `metric`, `label`, `best` (None: no ride before), `now`, `beaten`.

    Only a best of earlier rides can be beaten: a first ride beats nothing.
    """
    best_of = dict(zip(bests["metric"], bests["value"], strict=True))
    rows = []
    for metric, label in AIMS.items():
        best, now = best_of.get(metric), so_far.get(metric)
        beaten = best is not None and now is not None and bool(now > best)
        rows.append((metric, label, best, now, beaten))
    return pd.DataFrame(rows, columns=["metric", "label", "best", "now", "beaten"])
