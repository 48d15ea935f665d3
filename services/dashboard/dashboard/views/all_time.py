"""SHELL: what all rides add up to, who leads, and how it grows."""

import pandas as pd
import streamlit as st

from dashboard import charts_of_many as charts
from dashboard.formats import number, span
from dashboard.layout import answered, tiles, wall_clock
from dashboard.queries import LEADER_METRICS
from dashboard.sources import queries

# Years, both included; the bands of the other pages.
AGES: dict[str, tuple[int | None, int | None]] = {
    "All ages": (None, None),
    "under 25": (None, 24),
    "25–34": (25, 34),
    "35–44": (35, 44),
    "45–54": (45, 54),
    "55–64": (55, 64),
    "65 and over": (65, None),
}


@st.fragment(run_every=60.0)
def all_time() -> None:
    """The whole page; its figures are renewed every five minutes."""
    answer = answered(queries().weeks)
    if answer is None:
        return
    if answer.rows.empty:
        st.info("No one has ridden yet. The first ride appears here.", icon=":material/bedtime:")
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
            ("Rides", number(weeks["rides"].sum()), None, None),
            ("Riders", number(riders), None, None),
            ("Time ridden", span(float(weeks["duration_s"].sum())), None, None),
            ("Energy", number(float(weeks["energy_kj"].sum()) / 1000, "MJ", 1), None, None),
            ("Highest power", number(weeks["max_power_watts"].max(), "W"), None, None),
        ],
    )


def growth(weeks: pd.DataFrame) -> None:
    """Rides by week."""
    monday = pd.to_datetime(weeks["week"])
    until = monday + pd.Timedelta(days=7)
    form = "%Y-%m-%dT00:00:00"
    rows = weeks.assign(at=monday.dt.strftime(form), until=until.dt.strftime(form))
    with st.container(border=True):
        st.markdown("**Rides by week**")
        chart = charts.weekly_bars(rows[["at", "until", "rides", "riders"]])
        st.altair_chart(chart, key="weeks")


def leaders() -> None:
    """The best riders in each figure, of an age."""
    age = st.segmented_control(
        "Leaders of", list(AGES), default="All ages", required=True, key="leaders-age"
    )
    for column, (metric, (label, unit)) in zip(
        st.columns(len(LEADER_METRICS)), LEADER_METRICS.items(), strict=True
    ):
        rows = queries().leaders(metric, AGES[str(age)]).rows
        with column.container(border=True):
            st.markdown(f"**{label}**")
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
            figure = st.column_config.NumberColumn(unit, format="%,.0f")
            st.dataframe(
                shown,
                hide_index=True,
                key=f"leaders-{metric}",
                height=36 * (len(shown) + 1) + 2,
                column_config={
                    "#": st.column_config.NumberColumn(width=40),
                    "Age": st.column_config.NumberColumn(width=50),
                    f"{label} ({unit})": figure,
                },
            )


st.title("All time", anchor=False)
all_time()
