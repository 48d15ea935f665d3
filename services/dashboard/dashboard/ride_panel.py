"""SHELL: one ride closely, under way or over."""

from typing import Any

import pandas as pd
import streamlit as st

from dashboard import figures
from dashboard.charts import ride as charts
from dashboard.formats import change, clock, of_one_ride, plain
from dashboard.layout import Tile, card, draw, tiles, wall_clock
from dashboard.sources import queries
from deloton.rules.figures import FIGURE, unit_of
from deloton.showing.formats import NOTHING, number

CHANGE_OVER_S = 10
TITLES = {
    "power_watts": "Power (W)",
    "cadence_rpm": "Cadence (rpm)",
    "resistance": "Resistance (level)",
}
Totals = dict[str, float | None]
UNITS = {"heart_rate_bpm": "bpm", "power_watts": "W", "cadence_rpm": "rpm", "resistance": ""}
WHAT_LEVELS_MEAN = {
    "low": "below the limit of",
    "high": "at or above the limit of",
    "critical": "at or above the limit of",
}


def show_ride(ride: Any, place: str, *, live: bool) -> None:  # noqa: ANN401 - a row
    """Everything about a ride; `place` keeps the charts of two pages apart."""
    readings = figures.with_gaps(queries().readings(int(ride["ride_id"]), ride["started_at"]).rows)
    who(ride, readings)
    totals = {figure: ride.get(figure) for figure in figures.TOTALS}
    if live or pd.isna(ride["ended_at"]):
        counted = queries().so_far(int(ride["ride_id"]), ride["started_at"])
        totals = figures.figures_so_far(counted.rows)
    if live:
        live_tiles(ride, readings, place)
    else:
        total_tiles(totals, place)
    if readings.empty:
        st.info("No readings of this ride are stored.", icon=":material/hourglass_empty:")
        return
    rate = ride["heart_rate_bpm"] if live else totals["mean_heart_rate_bpm"]
    heart(ride, readings, rate, place, live=live)
    for column, (measure, title) in zip(st.columns(3), TITLES.items(), strict=True):
        with card(f"{place}-{measure}", place=column):
            line = charts.measure_line(readings, measure, title)
            draw(line, f"{place}-{measure}", f"{title} over the whole ride")
    bests(ride, totals, place)


def who(ride: Any, readings: pd.DataFrame) -> None:  # noqa: ANN401
    """Who rides, and on what."""
    known = pd.notna(ride["age"])
    elapsed = None if readings.empty else readings["elapsed_s"].iloc[-1]
    facts = (
        str(ride["gender"]),
        f"{ride['age']} years"
        if known
        else f"age not known, taken as {figures.POLICY.default_age}",
        f"height {number(ride['height_cm'], 'cm')}",
        f"weight {number(ride['weight_kg'], 'kg')}",
        f"bike {ride['bike_serial']}",
        f"since {wall_clock(ride['started_at']):%H:%M:%S, %-d %b}",
        f"{clock(elapsed)} min ridden",
    )
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        name = f":material/person: {rider_name(ride)}"
        st.header(name, anchor=False, width="content")
        st.markdown(plain(" · ".join(facts)), width="content")


def rider_name(ride: Any) -> str:  # noqa: ANN401
    """The rider's name as Markdown, or that it is not known."""
    return plain(ride["name"]) if ride["name"] else "Unknown rider"


def warn(ride: Any) -> None:  # noqa: ANN401
    """A bar at the foot of the window while the rider is outside the limits.

    It comes after everything else: what stands above does not move.
    """
    level = ride["level"]
    if not level:
        return
    with st.container(key="danger"):
        st.markdown(
            f":material/emergency_heat: {rider_name(ride)}: heart rate {level}, "
            f"{number(ride['heart_rate_bpm'], 'bpm')}, {WHAT_LEVELS_MEAN[level]} "
            f"{number(ride[f'{level}_bpm'], 'bpm')}"
        )


def live_tiles(ride: Any, readings: pd.DataFrame, place: str) -> None:  # noqa: ANN401
    """What is measured now, and how it changed."""
    labels = {"heart_rate_bpm": "Heart rate", "power_watts": "Power", "cadence_rpm": "Cadence"}
    entries = []
    for measure, label in {**labels, "resistance": "Resistance"}.items():
        unit = UNITS[measure]
        before = figures.value_before(readings, measure, CHANGE_OVER_S)
        moved = change(ride[measure], before, unit) or NOTHING
        entries.append(Tile(label, number(ride[measure], unit), moved, "in 10 s"))
    tiles(f"{place}-now", entries)


def total_tiles(totals: Totals, place: str) -> None:
    """What a ride adds up to."""
    entries = []
    for name in figures.OF_ONE_RIDE:
        figure = FIGURE[name]
        title = f"{figure.title} (min:s)" if figure.unit == "s" else figure.title
        entries.append(Tile(title, of_one_ride(name, totals[name])))
    tiles(f"{place}-totals", entries)


def heart(
    ride: Any,  # noqa: ANN401
    readings: pd.DataFrame,
    rate: float | None,
    place: str,
    *,
    live: bool,
) -> None:
    """The heart-rate line over its zones, the gauge for one rate, and the time in each zone."""
    maximum = float(ride["maximum_bpm"])
    limits = {level: float(ride[f"{level}_bpm"]) for level in figures.LEVELS}
    wide, narrow = st.columns([3, 1])
    with card(f"{place}-heart-rate", place=wide):
        line = charts.heart_rate_line(readings, maximum, limits)
        draw(line, f"{place}-heart-rate", "Heart rate over the whole ride, with zones and limits")
    share = None if rate is None or pd.isna(rate) else float(rate) / maximum
    title = "Heart rate now, time in zones" if live else "Mean heart rate, time in zones"
    with card(f"{place}-zones", title, narrow):
        draw(charts.gauge(share), f"{place}-gauge", "Heart rate as share of the expected maximum")
        zones = figures.zone_seconds(readings, maximum)
        draw(charts.zone_bars(zones), f"{place}-zones", "Minutes and seconds in each zone")


def bests(ride: Any, totals: Totals, place: str) -> None:  # noqa: ANN401
    """The rider's bests, with a badge where this ride is beating one."""
    if pd.isna(ride["rider_id"]):
        return
    rows = figures.beside_bests(queries().bests(int(ride["rider_id"])).rows, totals)
    st.markdown("**This ride beside the rider's personal bests**")
    tiles(f"{place}-bests", [best_tile(best) for best in rows.itertuples()])


def best_tile(best: Any) -> Tile:  # noqa: ANN401
    """A figure of this ride, and what it is compared with."""
    now, before = (best_in_words(best.metric, value) for value in (best.now, best.best))
    if best.beaten:
        return Tile(best.label, now, ":material/trophy: New best", f"before {before}", good=True)
    return Tile(best.label, now, f"best {before}")


def best_in_words(metric: str, value: float | None) -> str:
    """A best with its unit; spans as minutes and seconds."""
    words = of_one_ride(metric, value)
    return f"{words} min" if unit_of(metric) == "s" and words != NOTHING else words
