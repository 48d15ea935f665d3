"""SHELL: who rides now, and one rider closely. Lays out; computes nothing."""

from datetime import UTC, datetime
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import charts
from dashboard.figures import with_danger, with_gaps
from dashboard.sharing import Answer
from dashboard.sources import queries
from deloton.database import is_transient

SHOWN_RIDES = 200


@st.fragment(run_every=1.0)
def live() -> None:
    """The whole page, drawn anew each second."""
    try:
        answer = queries().live_rides()
    except Exception as error:
        if not is_transient(error):
            raise
        st.warning("The database does not answer yet. This page goes on by itself.")
        return
    say_if_gone(answer)
    if answer.rows.empty:
        st.info("No one is riding right now. The next ride appears here by itself.")
        return
    rides = with_danger(answer.rows, datetime.now(UTC).date())
    fleet(rides)
    chosen = choice()
    if chosen is not None:
        found = rides[rides["ride_id"] == chosen]
        if found.empty:
            st.info("The chosen ride is over. Choose another one below.")
        else:
            rider(found.iloc[0])
    table(rides, chosen)


def say_if_gone(answer: Answer) -> None:
    """Say since when the picture has been old."""
    if answer.gone_since:
        st.warning(
            f"The database has been away since {answer.gone_since:%H:%M:%S} UTC: "
            "this is the last picture."
        )


def choice() -> int | None:
    """The ride in the address, `?ride=…`."""
    text = st.query_params.get("ride", "")
    return int(text) if text.isdecimal() else None


def fleet(rides: pd.DataFrame) -> None:
    """The fleet at a glance."""
    age_s = max(0.0, (rides["read_at"].max() - rides["at"].max()).total_seconds())
    tiles = st.columns(4)
    tiles[0].metric("Riding now", f"{len(rides):,}")
    tiles[1].metric("Mean power", number(rides["power_watts"].astype("float64").mean(), "W"))
    tiles[2].metric("Outside limits", f"{(rides['level'] != '').sum():,}")
    tiles[3].metric("Newest reading", f"{age_s:.1f} s old")


def rider(ride: Any) -> None:  # noqa: ANN401 - a row of a DataFrame
    """The chosen ride: who, how, and its lines."""
    age = f", {ride['age']} years" if pd.notna(ride["age"]) else ", age not known"
    st.subheader(f"{ride['name'] or 'Unknown rider'}{age}", anchor=False)
    facts = (number(ride["height_cm"], "cm"), number(ride["weight_kg"], "kg"))
    st.markdown(f"{ride['gender']} · {' · '.join(facts)} · bike {ride['bike_serial']}")
    if ride["level"]:
        st.error(
            f"**Heart rate {ride['level']}: {ride['heart_rate_bpm']:,.0f} bpm.** "
            "It is outside this rider's limits.",
            icon=":material/warning:",
        )
    tiles = st.columns(4)
    tiles[0].metric("Heart rate", number(ride["heart_rate_bpm"], "bpm"))
    tiles[1].metric("Power", number(ride["power_watts"], "W"))
    tiles[2].metric("Cadence", number(ride["cadence_rpm"], "rpm"))
    tiles[3].metric("Resistance", number(ride["resistance"], ""))
    readings = with_gaps(queries().live_readings(int(ride["ride_id"])).rows)
    if readings.empty:
        return
    limits = {level: ride[f"{level}_bpm"] for level in ("low", "high", "critical")}
    known = {level: float(bpm) for level, bpm in limits.items() if pd.notna(bpm)}
    maximum = None if pd.isna(ride["maximum_bpm"]) else float(ride["maximum_bpm"])
    st.altair_chart(charts.heart_rate_line(readings, maximum, known), key="heart-rate")
    columns = st.columns(3)
    for column, measure, title in (
        (columns[0], "power_watts", "Power (W)"),
        (columns[1], "cadence_rpm", "Cadence (rpm)"),
        (columns[2], "resistance", "Resistance"),
    ):
        column.altair_chart(charts.measure_line(readings, measure, title), key=measure)


def table(rides: pd.DataFrame, chosen: int | None) -> None:
    """Riders, those in danger on top; a click chooses one."""
    shown = rides.head(SHOWN_RIDES)
    order = [int(ride_id) for ride_id in shown["ride_id"]]
    # A new choice makes a new table: a mark would stay on its row while riders change places.
    key = f"riders-{chosen}"
    names = shown["name"].where(shown["name"] != "", "Unknown rider")
    columns = ["level", "heart_rate_bpm", "share_percent", "power_watts", "bike_serial"]
    st.dataframe(
        shown[columns].assign(name=names)[["name", *columns]],
        hide_index=True,
        key=key,
        on_select=lambda: remember(key, order),
        selection_mode="single-row",
        column_config={
            "name": "Rider",
            "level": "Outside limits",
            "heart_rate_bpm": st.column_config.NumberColumn("Heart rate (bpm)", format="%d"),
            "share_percent": st.column_config.ProgressColumn(
                "% of expected maximum", format="%.0f %%", min_value=0, max_value=110
            ),
            "power_watts": st.column_config.NumberColumn("Power (W)", format="%.0f"),
            "bike_serial": "Bike",
        },
    )
    if len(rides) > len(shown):
        st.markdown(f"The first {len(shown):,} of {len(rides):,} riders.")


def remember(key: str, order: list[int]) -> None:
    """Keep the clicked ride in the address."""
    rows = st.session_state[key]["selection"]["rows"]
    if rows:
        st.query_params["ride"] = str(order[rows[0]])


def number(value: float, unit: str) -> str:
    """A whole number with its unit, or a dash where nothing was measured."""
    return "–" if pd.isna(value) else f"{value:,.0f} {unit}".strip()


st.title("Live", anchor=False)
live()
