"""SHELL: the rides of the last hours: headline figures, shares, power, the rides themselves."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboard import recent
from dashboard.charts import recent as charts
from dashboard.charts.look import Chart
from dashboard.formats import change_percent, csv_of, of_many_rides
from dashboard.layout import (
    Tile,
    as_of,
    card,
    chosen_ride,
    company_zone,
    draw,
    in_our_style,
    page,
    tiles,
)
from dashboard.queries import RECENT_RIDES_LIMIT
from dashboard.ride_panel import show_ride
from dashboard.sharing import Answer
from dashboard.sources import queries
from deloton.rules.calendar import ONE_HOUR
from deloton.rules.figures import FIGURE
from deloton.showing.formats import NOTHING, number

SHOWN_RIDES = 1_000
OFFERED = 500
POWERS = {
    "Mean": ("mean_watts", "Mean power (W)"),
    "Total": ("total_kw", "Total power (kW)"),
    "Cumulative": ("cumulative_kw", "Total power so far (kW)"),
}
# What each chart that can be clicked picks rides by.
CLICKABLE = ("gender", "age_band", "hour", "minutes")


@page(run_every_s=30.0)
def recent_rides() -> None:
    """The whole page; drawn anew twice a minute, and whenever something is chosen.

    A ride that a link leads to comes first, whatever the window holds.
    """
    chosen = chosen_ride()
    with st.container(key="linked"):
        if chosen is not None and came_by_link(chosen):
            detail(chosen)
    choices = st.container(horizontal=True, vertical_alignment="bottom", key="tiles-filters")
    with choices:
        window_h = choose_window()
    answer = queries().recent_rides(window_h)
    with as_of(answer):
        rides_of(answer, window_h, choices)


def rides_of(answer: Answer, window_h: int, choices: DeltaGenerator) -> None:
    """The rides of a window, by what is chosen and clicked; `choices` is where filters stand."""
    if answer.rows.empty:
        st.info(
            "No rides in this window. Choose a longer one, or wait for the next ride.",
            icon=":material/bedtime:",
        )
        return
    if len(answer.rows) == RECENT_RIDES_LIMIT:
        st.warning(f"So many rides: these are the newest {RECENT_RIDES_LIMIT:,} of the window.")
    with choices:
        filters = choose_filters(answer.rows)
    rides = recent.filtered(answer.rows, filters)
    picks = picked()
    meant = recent.picked(rides, picks)
    headline(meant, window_h, filters, bool(picks))
    say_picks(picks)
    span = (answer.read_at - window_h * ONE_HOUR, answer.read_at)
    shares(rides, picks)
    power_over_time(meant, window_h, span)
    times(rides, picks, span)
    table(meant)


def choose_window() -> int:
    """How many hours to look back."""
    choice = st.segmented_control(
        "Window", list(recent.WINDOWS_H), default="12 h", required=True, key="window"
    )
    return recent.WINDOWS_H[str(choice)]


def choose_filters(rides: pd.DataFrame) -> recent.Filters:
    """Which rides are meant; nothing chosen means all."""
    towns = rides["town"].value_counts().index[:OFFERED]
    bikes = rides["bike_serial"].value_counts().index[:OFFERED]
    return recent.Filters(
        genders=choose("Gender", recent.GENDERS, "genders"),
        age_bands=choose("Age", recent.AGE_BANDS, "bands"),
        towns=choose("Town", sorted(towns), "towns", others=True),
        bikes=choose("Bike", sorted(bikes), "bikes", others=True),
    )


def choose(
    label: str, options: Sequence[str], key: str, *, others: bool = False
) -> tuple[str, ...]:
    """Some of the options; with `others`, also what is typed."""
    return tuple(
        st.multiselect(label, options, placeholder="All", key=key, accept_new_options=others)
    )


def picked() -> dict[str, tuple[object, ...]]:
    """What was clicked in the charts: column → values."""
    picks = {}
    for field in CLICKABLE:
        state: Any = st.session_state.get(chart_key(field), {})
        points = state.get("selection", {}).get(charts.PICK, [])
        values = tuple(point[field] for point in points if field in point)
        if values:
            picks[field] = values
    return picks


def chart_key(field: str) -> str:
    """The key of a chart's state; a new one forgets what was clicked."""
    return f"{field}-{st.session_state.get('forgotten', 0)}"


def forget_picks() -> None:
    """Show the rides of all charts again."""
    st.session_state["forgotten"] = st.session_state.get("forgotten", 0) + 1


def say_picks(picks: dict[str, tuple[object, ...]]) -> None:
    """Say that a click in a chart narrows the others, and offer the way back."""
    with st.container(horizontal=True, vertical_alignment="center", key="picks"):
        if picks:
            count = sum(map(len, picks.values()))
            st.button("Show all again", icon=":material/filter_alt_off:", on_click=forget_picks)
            st.markdown(
                f"Narrowed by {count} clicked part{'s' if count > 1 else ''} of the charts."
            )
        else:
            st.markdown("Click a bar to narrow everything else to it; shift-click adds another.")


def headline(rides: pd.DataFrame, window_h: int, filters: recent.Filters, narrowed: bool) -> None:
    """What the rides that are over add up to, and the change from the window before."""
    over = recent.ended(rides)
    now: dict[str, Any] = recent.headline(over)
    before: dict[str, Any] = {}
    if not narrowed:
        before = dict(queries().headline(window_h, filters, windows_ago=1).rows.iloc[0])
        if len(rides) == RECENT_RIDES_LIMIT:
            now = dict(queries().headline(window_h, filters, windows_ago=0).rows.iloc[0])
    since = f"vs {before_words(window_h)} before"

    def tile(label: str, figure: str, shown: str) -> Tile:
        moved = change_percent(now[figure], before.get(figure))
        return Tile(label, shown, moved, since if moved else None)

    powers = ("total_power_watts", "mean_power_watts")
    tiles(
        "headline",
        [
            tile("Rides", "rides", number(now["rides"])),
            tile("Riders", "riders", number(now["riders"])),
            tile("Time ridden", "duration_s", of_many_rides("duration_s", now["duration_s"])),
            *(tile(FIGURE[name].title, name, of_many_rides(name, now[name])) for name in powers),
        ],
    )
    if len(over) < len(rides):
        st.markdown(f"Of rides that are over; {len(rides) - len(over):,} more are under way.")


def before_words(window_h: int) -> str:
    """A window as it is called on its button."""
    return next(name for name, hours in recent.WINDOWS_H.items() if hours == window_h)


def shares(rides: pd.DataFrame, picks: dict[str, tuple[object, ...]]) -> None:
    """Who rode: genders, ages."""
    left, right = st.columns(2)
    with card("genders", "Share by gender", left):
        rows = recent.gender_shares(recent.picked(rides, recent.others(picks, "gender")))
        chart = charts.gender_bars(rows, picks.get("gender", ()))
        clickable(chart, "gender", "Share of each gender in rides and time ridden")
    with card("ages", "Rides by age", right):
        rows = recent.by_age_band(recent.picked(rides, recent.others(picks, "age_band")))
        clickable(charts.age_bars(rows, picks.get("age_band", ())), "age_band", "Rides by age")


def power_over_time(rides: pd.DataFrame, window_h: int, span: tuple[datetime, datetime]) -> None:
    """Power over time, at a resolution, as mean, total or running sum."""
    with card("power"):
        offered = recent.resolutions_for(window_h)
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown("**Power over time**", width="content")
            measure = st.segmented_control(
                "Which power",
                list(POWERS),
                default="Mean",
                required=True,
                key="power-measure",
                label_visibility="collapsed",
            )
            resolution = st.selectbox(
                "Resolution",
                offered,
                index=len(offered) // 2,
                key=f"resolution-{window_h}",
                format_func="by {}".format,
                label_visibility="collapsed",
                width=130,
            )
        column, title = POWERS[str(measure)]
        rows = recent.power_over_time(rides, span, resolution, company_zone())
        chart = charts.power_line(rows, column, title, company_zone())
        draw(chart, "power", f"{title} by when rides began")


def times(
    rides: pd.DataFrame,
    picks: dict[str, tuple[object, ...]],
    span: tuple[datetime, datetime],
) -> None:
    """When rides began, and how long they were."""
    left, right = st.columns(2)
    with card("hours", "Rides per hour", left):
        meant = recent.picked(rides, recent.others(picks, "hour"))
        rows = recent.by_hour(meant, span, company_zone())
        chart = charts.hour_bars(rows, picks.get("hour", ()), company_zone())
        clickable(chart, "hour", "Rides per hour")
    with card("durations", "Duration", right):
        rows = recent.by_duration(recent.picked(rides, recent.others(picks, "minutes")))
        chart = charts.duration_bars(rows, picks.get("minutes", ()))
        clickable(chart, "minutes", "Rides by their duration in minutes")


def clickable(chart: Chart, field: str, alt: str) -> None:
    """A chart whose clicked parts narrow the others; `alt` is what it shows."""
    st.altair_chart(
        in_our_style(chart),
        key=chart_key(field),
        alt=alt,
        theme=None,
        on_select="rerun",
        selection_mode=charts.PICK,
    )


def table(rides: pd.DataFrame) -> None:
    """The newest of the rides, all of them as CSV, and a clicked one closely."""
    shown = recent.table_of(rides.head(SHOWN_RIDES))
    ids = [int(ride_id) for ride_id in shown["Ride"]]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**Rides** ({min(len(rides), SHOWN_RIDES):,} of {len(rides):,}, newest first)")
        st.download_button(
            f"Download {len(rides):,} rides as CSV",
            data=lambda: csv_of(recent.table_of(rides)),
            file_name="rides.csv",
            mime="text/csv",
            icon=":material/download:",
            on_click="ignore",
        )
    # A selection is a row's position: another table where other rides stand in the rows.
    key = f"rides-{st.session_state.get('closed', 0)}-{hash(tuple(ids))}"
    chosen = chosen_ride()
    st.dataframe(
        shown,
        hide_index=True,
        placeholder=NOTHING,
        key=key,
        height=min(36 * (len(shown) + 1) + 2, 420),
        on_select=partial(choose_row, key, ids),
        selection_mode="single-cell",
        selection_default={"selection": {"cells": cells_of(chosen, ids)}},
        column_config={
            "Started": st.column_config.DatetimeColumn(format="D MMM, HH:mm:ss"),
            "Ride": st.column_config.NumberColumn(format="%d"),
            **{name: st.column_config.NumberColumn(format="%.1f") for name in recent.ONE_DECIMAL},
        },
    )
    if chosen is None:
        st.markdown("Choose a ride in the table to see it closely.")
    elif not came_by_link(chosen):
        detail(chosen)


def cells_of(chosen: int | None, ids: list[int]) -> list[tuple[int, str]]:
    """The cell that is marked because its ride is chosen."""
    return [(ids.index(chosen), "Ride")] if chosen in ids else []


def choose_row(key: str, ids: list[int]) -> None:
    """Keep in the address whose row was clicked, as the rows stood then."""
    for row, _ in st.session_state[key]["selection"]["cells"]:
        st.session_state["clicked"] = ids[row]
        st.query_params["ride"] = str(ids[row])


def came_by_link(chosen: int) -> bool:
    """Whether the ride in the address was not chosen in the table."""
    return chosen != st.session_state.get("clicked")


def detail(chosen: int) -> None:
    """The ride in the address."""
    answer = queries().ride(chosen)
    if answer.rows.empty:
        st.info("There is no such ride any more.", icon=":material/search:")
    else:
        st.button("Close this ride", icon=":material/close:", on_click=forget_ride)
        with st.container(key="detail"):
            show_ride(answer.rows.iloc[0], "recent", live=False)


def forget_ride() -> None:
    """Show no ride closely, and mark none in the table."""
    st.query_params.pop("ride", None)
    st.session_state["closed"] = st.session_state.get("closed", 0) + 1


st.title("Recent rides", anchor=False)
recent_rides()
