"""CORE: what is computed from rows before it is shown."""

from datetime import date

import pandas as pd

from deloton.heart_rate import age_on, expected_maximum_bpm

LOW_BPM = 50
HIGH_SHARE = 0.9
_RANK = {"critical": 0, "high": 1, "low": 2, "": 3}


def with_danger(live: pd.DataFrame, today: date) -> pd.DataFrame:
    """Live rides with `maximum_bpm`, `share_percent` (of it) and `level`; in danger first.

    A rider without a birthday has no expected maximum: own limits alone make a level.
    """
    rides = live.copy()
    ages = [age_on(today, born_on) if pd.notna(born_on) else None for born_on in rides.born_on]
    rides["age"] = pd.array(ages, dtype="Int64")
    rides["maximum_bpm"] = [expected_maximum_bpm(a) if a is not None else None for a in ages]
    rides["maximum_bpm"] = rides["maximum_bpm"].astype("float64")
    rate = rides["heart_rate_bpm"] = rides["heart_rate_bpm"].astype("float64")
    rides["share_percent"] = 100 * rate / rides["maximum_bpm"]
    rides["low_bpm"] = rides["low_bpm"].astype("float64").fillna(LOW_BPM)
    own_high = rides["high_bpm"].astype("float64")
    own_critical = rides["critical_bpm"].astype("float64")
    rides["high_bpm"] = own_high.fillna(HIGH_SHARE * rides["maximum_bpm"])
    rides["critical_bpm"] = own_critical.fillna(rides["maximum_bpm"])
    rides["level"] = ""
    rides.loc[rate < rides["low_bpm"], "level"] = "low"
    rides.loc[rate >= rides["high_bpm"], "level"] = "high"
    rides.loc[rate >= rides["critical_bpm"], "level"] = "critical"
    rides["rank"] = rides["level"].map(_RANK)
    return rides.sort_values(["rank", "share_percent"], ascending=[True, False])


def with_gaps(readings: pd.DataFrame) -> pd.DataFrame:
    """Readings by whole second of the ride; an empty row for each second that is missing."""
    if readings.empty:
        return readings
    seconds = readings.dropna(subset=["elapsed_s"]).copy()
    seconds["elapsed_s"] = seconds["elapsed_s"].astype(int)
    seconds = seconds.drop_duplicates("elapsed_s", keep="last").set_index("elapsed_s")
    return seconds.reindex(range(seconds.index.min(), seconds.index.max() + 1)).reset_index()
