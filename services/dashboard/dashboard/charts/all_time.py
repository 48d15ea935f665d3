"""CORE: charts of all rides since ever."""

import altair as alt
import pandas as pd

from dashboard.charts.parts import ALONE, of_height, rides_tooltip
from deloton.showing.palette import BLUE


def weekly_bars(weeks: pd.DataFrame, measure: str, title: str) -> alt.Chart:
    """A measure by week (`at`, `until`: ISO days), with the weeks' `rides` and `riders`."""
    return of_height(
        alt.Chart(weeks)
        .mark_bar(color=BLUE, binSpacing=2, cornerRadiusEnd=3)
        .encode(
            x=alt.X(
                "at:T",
                title="Week from",
                axis=alt.Axis(format="%-d %b", grid=False, values=_days(weeks["at"])),
                scale=_eight_weeks_at_least(weeks),
            ),
            x2="until:T",
            y=alt.Y(f"{measure}:Q", title=title, axis=alt.Axis(tickCount=5, format=",~f")),
            y2=alt.datum(0),
            tooltip=[
                alt.Tooltip("at:T", title="Week from", format="%-d %b %Y"),
                rides_tooltip(),
                alt.Tooltip("riders:Q", title="Riders", format=","),
                alt.Tooltip(f"{measure}:Q", title=title, format=",.0f"),
            ],
        ),
        ALONE,
    )


def _eight_weeks_at_least(weeks: pd.DataFrame) -> alt.Scale:
    """Up to the last `until`, from the first `at` or earlier: a single bar would be a wall."""
    before = pd.Timestamp(weeks["until"].max()) - pd.Timedelta(weeks=8)
    at = min(pd.Timestamp(weeks["at"].min()), before)
    return alt.Scale(domainMin=alt.DateTime(year=at.year, month=at.month, date=at.day))


def _days(at: "pd.Series[str]") -> list[str]:
    """Mondays to write on the axis: at most a dozen of them."""
    days = list(at)
    return days[:: -(-len(days) // 12) or 1]
