"""SHELL: each bike with its state, those that want a look first."""

import pandas as pd
import streamlit as st

from dashboard import bikes
from dashboard.layout import Tile, as_of, marked, page, tiles, wall_clock
from dashboard.queries import BIKES_LIMIT
from dashboard.sharing import Answer
from dashboard.sources import queries
from deloton.showing.formats import NOTHING, number
from deloton.showing.palette import BIKE_STATE_COLOURS, pale

SHOWN_BIKES = 500
ALL = "all"


@page(run_every_s=10.0)
def shown_bikes() -> None:
    """The whole page."""
    answer = queries().bikes()
    with as_of(answer):
        every_bike(answer)


def every_bike(answer: Answer) -> None:
    """How many there are of each state, and those that are looked for."""
    if answer.rows.empty:
        st.info("No bike has been ridden yet. The first appears here.", icon=":material/bedtime:")
        return
    if len(answer.rows) == BIKES_LIMIT:
        st.warning(f"So many bikes: these are {BIKES_LIMIT:,} of them.")
    counted(answer.rows)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        text = st.text_input(
            "Find", placeholder="Bike", key="bike", icon=":material/search:", width=220
        )
        state = st.segmented_control(
            "State", [ALL, *bikes.STATES], default=ALL, required=True, key="state"
        )
    table(bikes.chosen(answer.rows, str(state), text))
    st.markdown(f"{bikes.MEANING} As of {wall_clock(answer.read_at):%H:%M:%S}.")


def counted(rows: pd.DataFrame) -> None:
    """How many bikes there are of each state."""
    found = bikes.counts(rows)
    entries = [Tile(state.capitalize(), number(found[state])) for state in bikes.STATES]
    faulty = found[bikes.FAULTY]
    entries[0] = Tile(marked("Faulty", "red", faulty > 0), number(faulty))
    tiles("bikes", [*entries, Tile("All bikes", number(len(rows)))])


def table(rows: pd.DataFrame) -> None:
    """The first of the bikes."""
    shown = rows.head(SHOWN_BIKES)
    weeks = queries().bike_weeks(list(shown["serial"])).rows
    column = st.column_config
    st.dataframe(
        bikes.table_of(shown, weeks, queries().time_zone),
        hide_index=True,
        placeholder=NOTHING,
        key="bikes-table",
        height=min(36 * (len(shown) + 1) + 2, 640),
        column_config={
            "State": column.MultiselectColumn(
                options=bikes.STATES,
                color=[pale(BIKE_STATE_COLOURS[state]) for state in bikes.STATES],
            ),
            "Last seen": column.DatetimeColumn(format="D MMM, HH:mm:ss"),
            "Contact (%)": column.ProgressColumn(format="%.0f %%", min_value=0, max_value=100),
            "Rides, 7 days": column.NumberColumn(format="%,d"),
            "Power deviates (s)": column.NumberColumn(
                format="%,d", help="The longest run of wrong seconds on the latest ride"
            ),
        },
    )
    if len(rows) > len(shown):
        st.markdown(f"The first {len(shown):,} of {len(rows):,} bikes.")


st.title("Bikes", anchor=False)
shown_bikes()
