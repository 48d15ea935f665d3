"""CORE: heart-rate alerts of a window, counted."""

from typing import Final
from zoneinfo import ZoneInfo

import pandas as pd

from dashboard.clock_steps import steps_of_days
from deloton.rules.calendar import ONE_HOUR

LEVELS: Final = ("critical", "high", "low")
WINDOWS_H: Final = {"24 h": 24, "7 days": 168, "30 days": 720}
STATES: Final = {
    "sent": "mailed",
    "pending": "on its way",
    "sending": "on its way",
    "expired": "too old to mail",
    "undeliverable": "no address to mail, or not wanted",
    "failed": "mail refused",
    "unknown": "perhaps mailed",
    "bounced": "mail came back",
    "complained": "rider complained",
}


def by_level(alerts: pd.DataFrame) -> pd.DataFrame:
    """A row per level, the worst first: `level`, `alerts`."""
    counts = alerts["level"].value_counts().reindex(list(LEVELS), fill_value=0)
    return counts.rename_axis("level").reset_index(name="alerts")


def by_hour(alerts: pd.DataFrame, zone: ZoneInfo) -> pd.DataFrame:
    """A row per hour with alerts and level: `level`, `alerts`, and the hour's time.

    `at`, `until` and `clock` as `Steps.table` gives them. Levels stand on one another, the worst
    first, from `below` to `top`.
    """
    hours = steps_of_days(alerts["measured_at"], ONE_HOUR, zone)
    number = hours.numbers_of(alerts["measured_at"]).rename("number")
    counts = alerts.groupby([number, "level"]).size().reset_index(name="alerts")
    counts = counts.sort_values(["number", "level"])  # by the alphabet: critical, high, low
    counts["top"] = counts.groupby("number")["alerts"].cumsum()
    counts["below"] = counts["top"] - counts["alerts"]
    return counts.merge(hours.table(), left_on="number", right_index=True).drop(columns="number")


def latency_s(alerts: pd.DataFrame, share: float) -> float | None:
    """The latency within which such a share of the mails was accepted, in seconds."""
    latencies = alerts["latency_ms"].astype("float64").dropna()
    return None if latencies.empty else float(latencies.quantile(share)) / 1000


def table_of(alerts: pd.DataFrame, zone: ZoneInfo) -> pd.DataFrame:
    """Alerts as staff read them, newest first, columns titled with units.

    `Level` is a list of one; `Ride` is the address of the ride's page.
    """
    local = alerts["measured_at"].dt.tz_convert(zone).dt.tz_localize(None)
    return pd.DataFrame(
        {
            "Measured": local,
            "Level": [[level] for level in alerts["level"]],
            "Rider": alerts["name"].where(alerts["name"] != "", "Unknown rider"),
            "Heart rate (bpm)": alerts["heart_rate_bpm"],
            "Limit (bpm)": alerts["limit_bpm"].round(0),
            "State": alerts["state"].map(STATES).fillna(alerts["state"]),
            "Back to normal": alerts["recovery_state"].map(STATES),
            "Latency (s)": (alerts["latency_ms"].astype("float64") / 1000).round(2),
            "Tries": alerts["attempts"],
            "Bike": alerts["bike_serial"],
            "Ride": [f"/recent?ride={ride_id}" for ride_id in alerts["ride_id"]],
        }
    )
