"""CORE: bikes, and which of them want a look."""

from typing import Final
from zoneinfo import ZoneInfo

import pandas as pd

from deloton.rules.power import DEVIATION_WATTS, FAULTY_AFTER_S
from deloton.rules.silence import SILENCE, SILENCE_WORDS
from deloton.showing.formats import duration

FAULTY: Final = "faulty"
IN_USE: Final = "in use"
IDLE: Final = "idle"
SILENT: Final = "silent"
# In the order in which they want a look.
STATES: Final = (FAULTY, IN_USE, IDLE, SILENT)

SILENT_AFTER: Final = pd.Timedelta(days=1)
FAULTY_WITHIN: Final = pd.Timedelta(days=7)

# A clock that was set right since is told by the next ride.
CLOCK_WRONG_FROM_S: Final = 5.0

MEANING: Final = (
    f"A bike is faulty while the power it measured on its latest ride of the last 7 days was more "
    f"than {DEVIATION_WATTS:.0f} W off what resistance and cadence give for {FAULTY_AFTER_S} s in "
    f"a row or longer; in use while its last reading is at most {SILENCE_WORDS} old; silent "
    "when nothing came for more than a day; idle otherwise. Contact is the share of the seconds "
    "of 7 days with hands on the bar."
)


def with_state(bikes: pd.DataFrame, under_way: pd.DataFrame) -> pd.DataFrame:
    """A row per bike with `last_seen_at`, `doing` and `state`; those that want a look first.

    `bikes` tells of each bike's latest ended ride, `under_way` when an open ride was last read.
    `doing` is in use, idle or silent; `state` is faulty before that. Of faulty bikes those whose
    power is wrong for longest come first.
    """
    bikes = bikes.merge(under_way, on="serial", how="left")
    for column in ("ended_at", "reading_at", "read_at"):
        bikes[column] = pd.to_datetime(bikes[column], utc=True)
    now = bikes["read_at"]
    bikes["power_deviation_s"] = bikes["power_deviation_s"].astype("float64")
    bikes["last_seen_at"] = bikes[["ended_at", "reading_at"]].max(axis=1)
    bikes["doing"] = IDLE
    bikes.loc[~(now - bikes["last_seen_at"] <= SILENT_AFTER), "doing"] = SILENT
    bikes.loc[now - bikes["reading_at"] <= SILENCE, "doing"] = IN_USE
    is_faulty = bikes["power_deviation_s"] >= FAULTY_AFTER_S
    is_faulty &= now - bikes["ended_at"] <= FAULTY_WITHIN
    bikes["state"] = bikes["doing"].mask(is_faulty, FAULTY)
    bikes["rank"] = bikes["state"].map(STATES.index)
    bikes["worst_s"] = bikes["power_deviation_s"].where(is_faulty)
    order = ["rank", "worst_s", "serial"]
    return bikes.sort_values(order, ascending=[True, False, True], ignore_index=True)


def counts(bikes: pd.DataFrame) -> dict[str, int]:
    """How many bikes there are of each state."""
    found = bikes["state"].value_counts()
    return {state: int(found.get(state, 0)) for state in STATES}


def chosen(bikes: pd.DataFrame, state: str, text: str) -> pd.DataFrame:
    """The bikes of a state (or of any) whose serial number holds a text, whatever its case."""
    if state in STATES:
        bikes = bikes[bikes["state"] == state]
    if text.strip():
        bikes = bikes[bikes["serial"].str.contains(text.strip(), case=False, regex=False)]
    return bikes


def clock(slow_s: float) -> str | None:
    """How a bike's clock stood on its latest ride: `3 h 0 min slow`; None where it was right."""
    if pd.isna(slow_s) or abs(slow_s) < CLOCK_WRONG_FROM_S:
        return None
    return f"{duration(abs(slow_s))} {'slow' if slow_s > 0 else 'fast'}"


def table_of(bikes: pd.DataFrame, weeks: pd.DataFrame, time_zone: str) -> pd.DataFrame:
    """Bikes as staff read them, columns titled with units; `weeks` as `Queries.bike_weeks` says.

    `State` is a list: a faulty bike shows what it is doing too.
    """
    week = weeks.set_index("bike_serial").reindex(bikes["serial"])
    seen = bikes["last_seen_at"].dt.tz_convert(ZoneInfo(time_zone)).dt.tz_localize(None)
    states = bikes[["state", "doing"]].itertuples(index=False, name=None)
    return pd.DataFrame(
        {
            "Bike": bikes["serial"].to_numpy(),
            "State": [list(dict.fromkeys(both)) for both in states],
            "Last seen": seen.to_numpy(),
            "Contact (%)": (100 * week["contact_share"].astype("float64")).to_numpy(),
            "Rides, 7 days": week["rides"].fillna(0).astype("int64").to_numpy(),
            "Power deviates (s)": bikes["power_deviation_s"].to_numpy(),
            "Clock": [clock(slow_s) for slow_s in bikes["clock_slow_s"].astype("float64")],
            "Firmware": bikes["firmware"].to_numpy(),
        }
    )
