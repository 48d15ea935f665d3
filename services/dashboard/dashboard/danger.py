"""CORE: the riders in danger, as the bar on top of every page tells them."""

from html import escape
from typing import Final
from zoneinfo import ZoneInfo

import pandas as pd

from dashboard.alerts import STATES
from dashboard.figures import LEVELS, with_limits
from dashboard.rider_cards import LEVEL_MARKS
from deloton.showing.formats import number
from deloton.showing.palette import ALERT_COLOURS

# A heart that has stayed within its limits for so long is in danger no more.
CALM_AFTER_S: Final = 30
LONGEST_NAME: Final = 60
LONGEST_NOTE: Final = 500
_WORST_FIRST: Final = tuple(reversed(LEVELS))


def in_danger(rides: pd.DataFrame, zone: ZoneInfo) -> pd.DataFrame:
    """The rides that go on and are outside their limits, with limits, `level` and `rate_bpm` now.

    `rides` are those whose rider was alerted, with `rates`: those of the last `CALM_AFTER_S`, a
    value a second, oldest first, with gaps. The worst comes first, then who has been in it longest.
    """
    rides = with_limits(rides, zone)
    rates = [[bpm for bpm in each or () if bpm is not None] for each in rides["rates"]]
    bounds = rides[["low_bpm", "high_bpm", "critical_bpm"]].itertuples(index=False, name=None)
    rides["level"] = [_level(*pair) for pair in zip(rates, bounds, strict=True)]
    rides["rate_bpm"] = pd.Series(
        [each[-1] if each else None for each in rates], rides.index, dtype="float64"
    )
    rides = rides[rides["level"] != ""]
    rank = rides["level"].map(_WORST_FIRST.index).astype("int64")
    return rides.assign(rank=rank).sort_values(["rank", "measured_at"], kind="stable")


def _level(rates: list[int], bounds: tuple[float, float, float]) -> str:
    low, high, critical = bounds
    if not rates:
        return ""
    if max(rates) >= critical:
        return "critical"
    if max(rates) >= high:
        return "high"
    return "low" if min(rates) < low else ""


def entries(rides: pd.DataFrame, zone: ZoneInfo) -> list[dict[str, object]]:
    """What the bar shows of each: `alert` (its id), `colour`, `seen` (by somebody), safe `html`."""
    return [
        {
            "alert": str(ride.alert_id),
            "colour": ALERT_COLOURS[str(ride.level)],
            "seen": pd.notna(ride.staff_name),
            "html": _words(ride, zone),
        }
        for ride in rides.itertuples()
    ]


def announcement(rides: pd.DataFrame) -> str:
    """One sentence for who cannot see the bar; it changes only where people or levels do."""
    if rides.empty:
        return ""
    people = ", ".join(f"{_name(ride)}: {ride.level}" for ride in rides.itertuples())
    return f"{len(rides)} in danger. {people}"


def _words(ride, zone: ZoneInfo) -> str:  # type: ignore[no-untyped-def]  # noqa: ANN001 - a row
    limit = number(getattr(ride, f"{ride.level}_bpm"), "bpm")
    since = _clock(ride.measured_at, zone)
    facts = [
        f"{number(ride.rate_bpm, 'bpm')} now, limit {limit}",
        f"bike {ride.bike_serial}",
        f"since {since}",
        STATES.get(ride.state, ride.state),
    ]
    seen = ""
    if pd.notna(ride.staff_name):
        note = f": {ride.note}" if ride.note else ""
        words = f"seen to by {ride.staff_name}, {_clock(ride.acknowledged_at, zone)}{note}"
        seen = f'<span class="seen">{escape(words)}</span>'
    return (
        f'<b class="mark">{LEVEL_MARKS[ride.level]}</b>'
        f'<a href="/?ride={ride.ride_id}" target="_self">{escape(_name(ride))}</a>'
        f"<span>{escape(' · '.join(facts))}</span>{seen}"
    )


def _name(ride) -> str:  # type: ignore[no-untyped-def]  # noqa: ANN001 - a row
    return ride.name or "Unknown rider"


def _clock(moment: pd.Timestamp, zone: ZoneInfo) -> str:
    return f"{moment.tz_convert(zone):%H:%M:%S}"
