"""SHELL: who rides now, and one rider closely. Lays out; computes nothing."""

import pandas as pd
import streamlit as st

from dashboard.figures import SORTS, sorted_by
from dashboard.formats import NOTHING, number
from dashboard.layout import answered, chosen_ride, tiles, wall_clock
from dashboard.ride_panel import show_ride
from dashboard.sharing import Answer
from dashboard.sources import queries

SHOWN_RIDES = 100
LEVEL_MARKS = {"critical": "⬤ critical", "high": "▲ high", "low": "▼ low", "": ""}


@st.fragment(run_every=1.0)
def live() -> None:
    """The whole page, drawn anew each second; every part has its place, so that nothing jumps."""
    said, glance, panel, grid = (st.container() for _ in range(4))
    with said:
        answer = answered(queries().live_rides)
    if answer is None:
        return
    rides = answer.rows
    chosen = chosen_ride()
    with glance:
        fleet(answer)
    with panel:
        if chosen is not None:
            rider(rides, chosen)
    with grid:
        if rides.empty:
            st.info(
                "No one is riding right now. The next ride appears here by itself.",
                icon=":material/bedtime:",
            )
        else:
            riders(rides, chosen)


def fleet(answer: Answer) -> None:
    """The fleet at a glance."""
    rides = answer.rows
    alerts = int(queries().alerts_of_the_last_hour().rows["alerts"].iloc[0])
    age = "–"
    if not rides.empty:
        age_s = max(0.0, (rides["read_at"].max() - rides["at"].max()).total_seconds())
        age = f"{age_s:.1f} s"
    tiles(
        "fleet",
        [
            ("Riding now", number(len(rides)), None, None),
            ("Mean power", number(rides["power_watts"].astype("float64").mean(), "W"), None, None),
            ("Outside limits", number((rides["level"] != "").sum()), None, None),
            ("Alerts, last hour", number(alerts), None, None),
            ("Newest reading, age", age, None, None),
            ("Updated at", f"{wall_clock(answer.read_at):%H:%M:%S}", None, None),
        ],
    )


def rider(rides: pd.DataFrame, chosen: int) -> None:
    """The chosen ride; also once it is over."""
    found = rides[rides["ride_id"] == chosen]
    if not found.empty:
        show_ride(found.iloc[0], "live", live=True)
    else:
        stored = queries().ride(chosen).rows
        if stored.empty:
            st.info("There is no such ride. Choose another one below.", icon=":material/search:")
        else:
            st.info("This ride is over. Choose another one below.", icon=":material/flag:")
            show_ride(stored.iloc[0], "live", live=False)
    st.button("Back to all riders", icon=":material/arrow_back:", on_click=forget)


def riders(rides: pd.DataFrame, chosen: int | None) -> None:
    """Riders, those in danger on top; a click chooses one."""
    sort = st.segmented_control(
        "Order of riders", list(SORTS), default=next(iter(SORTS)), required=True, key="sort"
    )
    shown = sorted_by(rides, str(sort)).head(SHOWN_RIDES)
    order = [int(ride_id) for ride_id in shown["ride_id"]]
    rates = queries().sparklines(order).rows.set_index("ride_id")["rates"]
    table = pd.DataFrame(
        {
            "name": shown["name"].where(shown["name"] != "", "Unknown rider"),
            "level": shown["level"].map(LEVEL_MARKS),
            "heart_rate_bpm": shown["heart_rate_bpm"],
            "share_percent": shown["share_percent"],
            "last_minute": [rates.get(ride_id, []) for ride_id in order],
            "power_watts": shown["power_watts"],
            "cadence_rpm": shown["cadence_rpm"].astype("float64"),
            "minutes": shown["elapsed_s"].astype("float64") / 60,
            "bike_serial": shown["bike_serial"],
        }
    )
    # A new choice makes a new table: a mark would stay on its row while riders change places.
    key = f"riders-{chosen}"
    st.dataframe(
        table,
        hide_index=True,
        placeholder=NOTHING,
        key=key,
        height=min(36 * (len(table) + 1) + 2, 640),
        on_select=lambda: remember(key, order),
        selection_mode="single-row",
        column_config={
            "name": "Rider",
            "level": "Outside limits",
            "heart_rate_bpm": st.column_config.NumberColumn("Heart rate (bpm)", format="%d"),
            "share_percent": st.column_config.ProgressColumn(
                "% of expected maximum", format="%.0f %%", min_value=0, max_value=110
            ),
            "last_minute": st.column_config.LineChartColumn(
                "Heart rate, last minute", y_min=50, y_max=190
            ),
            "power_watts": st.column_config.NumberColumn("Power (W)", format="%.0f"),
            "cadence_rpm": st.column_config.NumberColumn("Cadence (rpm)", format="%.0f"),
            "minutes": st.column_config.NumberColumn("Ridden (min)", format="%.1f"),
            "bike_serial": "Bike",
        },
    )
    if len(rides) > len(shown):
        st.markdown(f"The first {len(shown):,} of {len(rides):,} riders in this order.")


def remember(key: str, order: list[int]) -> None:
    """Keep the clicked ride in the address."""
    rows = st.session_state[key]["selection"]["rows"]
    if rows:
        st.query_params["ride"] = str(order[rows[0]])


def forget() -> None:
    """Show all riders again."""
    st.query_params.pop("ride", None)


st.title("Live", anchor=False)
live()
