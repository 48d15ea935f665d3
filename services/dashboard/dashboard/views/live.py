"""SHELL: who rides now, and one rider closely. Lays out; computes nothing."""

from datetime import UTC, datetime

import pandas as pd
import streamlit as st

from dashboard.charts import live as charts
from dashboard.figures import SORTS, found, riders_by_share, sorted_by
from dashboard.layout import (
    Tile,
    as_of,
    card,
    chosen_ride,
    draw,
    marked,
    page,
    tiles,
    wall_clock,
)
from dashboard.ride_panel import show_ride, warn
from dashboard.rider_cards import cards
from dashboard.rider_grid import rider_grid
from dashboard.sharing import Answer
from dashboard.sources import queries
from deloton.showing.formats import number

SHOWN_RIDES = 100
# Older than this, the newest reading is not live any more.
LIVE_WITHIN_S = 3.0


@page(run_every_s=1.0)
def live() -> None:
    """The whole page, drawn anew each second; every part has its place, so that nothing jumps."""
    answer = queries().live_rides()
    with as_of(answer):
        glance, below = st.container(), st.container()
    with glance:
        fleet(answer)
    chosen = chosen_ride()
    with below:
        if chosen is None:
            all_riders(answer.rows)
        else:
            one_rider(answer.rows, chosen)


def fleet(answer: Answer) -> None:
    """The fleet at a glance; what wants a look is coloured."""
    rides = answer.rows
    alerts = int(queries().alerts_of_the_last_hour().rows["alerts"].iloc[0])
    outside = int((rides["level"] != "").sum())
    age_s = None
    if not rides.empty:
        age_s = max(0.0, (rides["read_at"].max() - rides["at"].max()).total_seconds())
        age_s += answer.outdated_s(datetime.now(UTC))
    late = age_s is not None and age_s > LIVE_WITHIN_S
    tiles(
        "fleet",
        [
            Tile("Riding now", number(len(rides))),
            Tile("Mean power", number(rides["power_watts"].astype("float64").mean(), "W")),
            Tile(marked("Outside limits", "red", outside > 0), number(outside)),
            Tile("Alerts, last hour", number(alerts)),
            Tile(marked("Newest reading, age", "orange", late), number(age_s, "s", 1)),
            Tile(
                marked("Updated at", "orange", answer.gone_since is not None),
                f"{wall_clock(answer.read_at):%H:%M:%S}",
            ),
        ],
    )


def all_riders(rides: pd.DataFrame) -> None:
    """Everyone who rides: how hard hearts work, then a card each."""
    if rides.empty:
        st.info(
            "No one is riding right now. The next ride appears here by itself.",
            icon=":material/bedtime:",
        )
        return
    with card("hearts", "How hard hearts work"):
        hearts = charts.fleet_bars(riders_by_share(rides))
        draw(hearts, "hearts", "Riders by their heart rate in percent of the expected maximum")
    riders(rides)


def one_rider(rides: pd.DataFrame, chosen: int) -> None:
    """The chosen ride, also once it is over, and the others beside it."""
    with st.container(key="closely"):
        panel, beside = st.columns([4, 1], gap="medium")
    with panel:
        closely(rides[rides["ride_id"] == chosen], chosen)
    with beside.container(key="others"):
        st.button("All riders", icon=":material/arrow_back:", on_click=forget, width="stretch")
        grid(rides, chosen)


def closely(ride: pd.DataFrame, chosen: int) -> None:
    """One ride with everything about it."""
    # Empty while the ride goes on: what stands below keeps its place when it ends.
    word = st.container()
    if not ride.empty:
        show_ride(ride.iloc[0], "live", live=True)
        warn(ride.iloc[0])
        return
    stored = queries().ride(chosen).rows
    if stored.empty:
        word.info("There is no such ride. Choose another rider.", icon=":material/search:")
        return
    word.info("This ride is over. Choose another rider.", icon=":material/flag:")
    show_ride(stored.iloc[0], "live", live=False)


def riders(rides: pd.DataFrame) -> None:
    """Whom to show, in which order, and a card each."""
    with st.container(horizontal=True, vertical_alignment="bottom", key="order"):
        text = st.text_input(
            "Find", placeholder="Name or bike", key="find", icon=":material/search:", width=220
        )
        sort = st.segmented_control(
            "Order, those outside limits first",
            list(SORTS),
            default=next(iter(SORTS)),
            required=True,
            key="sort",
        )
    meant = sorted_by(found(rides, text), str(sort))
    if meant.empty:
        st.markdown("No one who rides now is called so.")
    grid(meant, None)


def grid(rides: pd.DataFrame, chosen: int | None) -> None:
    """A card a rider in the order of the rows; a click chooses one."""
    shown = rides.head(SHOWN_RIDES)
    rows = queries().sparklines([int(ride_id) for ride_id in shown["ride_id"]]).rows
    rates = dict(zip(rows["ride_id"], rows["rates"], strict=True))
    rider_grid(cards(shown, rates, chosen), keep)
    if len(rides) > len(shown):
        st.markdown(f"The first {len(shown):,} of {len(rides):,} riders.")


def keep(ride_id: int) -> None:
    """Keep the clicked ride in the address."""
    st.query_params["ride"] = str(ride_id)


def forget() -> None:
    """Show all riders again."""
    st.query_params.pop("ride", None)


st.title("Live", anchor=False)
live()
