"""SHELL: what all rides add up to, who leads, and how it grows."""

import pandas as pd
import streamlit as st

from dashboard.charts import all_time as charts
from dashboard.formats import of_many_rides
from dashboard.layout import Tile, as_of, card, draw, page, tiles, wall_clock
from dashboard.sources import queries
from deloton.rules import age_bands
from deloton.rules.figures import FIGURE, LEADERS, unit_of
from deloton.showing.formats import number

ALL_AGES = "All ages"
# Years, both included; None: no bound.
AGES = {ALL_AGES: (None, None), **age_bands.BAND_AGES}

# What a week can be measured by: label → column, title with unit.
GROWTH = {
    "Rides": ("rides", "Rides"),
    "Riders": ("riders", "Riders"),
    "Time ridden": ("hours", "Time ridden (h)"),
    "Energy": ("energy_mj", "Energy (MJ)"),
}


@page(run_every_s=60.0)
def all_time() -> None:
    """The whole page; its figures are renewed every five minutes."""
    answer = queries().weeks()
    with as_of(answer):
        if answer.rows.empty:
            words = "No one has ridden yet. The first ride appears here."
            st.info(words, icon=":material/bedtime:")
            return
        totals(answer.rows)
        growth(answer.rows)
        leaders()
    st.markdown(f"As of {wall_clock(answer.read_at):%H:%M}; renewed every five minutes.")


def totals(weeks: pd.DataFrame) -> None:
    """What all rides add up to."""
    riders = int(queries().rider_count().rows["riders"].iloc[0])
    tiles(
        "totals",
        [
            Tile("Rides", number(weeks["rides"].sum())),
            Tile("Riders", number(riders)),
            Tile("Time ridden", of_many_rides("duration_s", weeks["duration_s"].sum())),
            *(
                Tile(FIGURE[name].title, of_many_rides(name, value))
                for name, value in {
                    "energy_kj": weeks["energy_kj"].sum(),
                    "max_power_watts": weeks["max_power_watts"].max(),
                }.items()
            ),
        ],
    )


def growth(weeks: pd.DataFrame) -> None:
    """What each week added."""
    monday = pd.to_datetime(weeks["week"])
    until = monday + pd.Timedelta(days=7)
    form = "%Y-%m-%dT00:00:00"
    rows = weeks.assign(
        at=monday.dt.strftime(form),
        until=until.dt.strftime(form),
        hours=weeks["duration_s"].astype("float64") / 3600,
        energy_mj=weeks["energy_kj"].astype("float64") / 1000,
    )
    with card("weeks"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown("**Growth by week**", width="content")
            measure = st.segmented_control(
                "Measure",
                list(GROWTH),
                default="Rides",
                required=True,
                key="growth",
                label_visibility="collapsed",
            )
        column, title = GROWTH[str(measure)]
        shown = rows[list(dict.fromkeys(["at", "until", "rides", "riders", column]))]
        draw(charts.weekly_bars(shown, column, title), "weeks", f"{title} by week")


def leaders() -> None:
    """The best riders in each figure, of an age."""
    age = st.segmented_control(
        "Leaders of", list(AGES), default=ALL_AGES, required=True, key="leaders-age"
    )
    for column, (metric, label) in zip(st.columns(len(LEADERS)), LEADERS.items(), strict=True):
        unit = unit_of(metric)
        rows = queries().leaders(metric, AGES[str(age)]).rows
        with card(f"leaders-{metric}", label, column):
            if rows.empty:
                st.markdown("No one of this age yet.")
                continue
            shown = pd.DataFrame(
                {
                    "#": range(1, len(rows) + 1),
                    "Rider": rows["name"],
                    "Age": rows["age"],
                    f"{label} ({unit})": rows["value"].astype("float64"),
                }
            )
            figure = st.column_config.ProgressColumn(
                unit, format="%,.0f", min_value=0, max_value=float(rows["value"].iloc[0])
            )
            st.dataframe(
                shown,
                hide_index=True,
                key=f"leaders-{metric}",
                height="content",
                column_config={
                    "#": st.column_config.NumberColumn(width=40),
                    "Age": st.column_config.NumberColumn(width=50),
                    f"{label} ({unit})": figure,
                },
            )


st.title("All time", anchor=False)
all_time()
