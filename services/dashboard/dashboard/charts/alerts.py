"""CORE: charts of heart-rate alerts."""

from typing import Final
from zoneinfo import ZoneInfo

import altair as alt
import pandas as pd

from dashboard.charts.look import Chart
from dashboard.charts.parts import BESIDE, clock_axis, count_axis, from_clock, of_height
from deloton.showing.palette import ALERT_COLOURS

LEVEL_SCALE: Final = alt.Scale(domain=list(ALERT_COLOURS), range=list(ALERT_COLOURS.values()))
_A_DAY_MS: Final = 86_400_000


def alerts_by_hour(hours: pd.DataFrame, zone: ZoneInfo) -> alt.Chart:
    """Alerts by hour and level, as `alerts.by_hour` gives them: stacked, the worst at the foot."""
    levels = alt.Color("level:N", scale=LEVEL_SCALE, legend=alt.Legend(orient="right", title=None))
    return of_height(
        alt.Chart(hours)
        .mark_bar(binSpacing=1)
        .encode(
            x=clock_axis(hours, "Hour of the reading", zone, at_least_ms=_A_DAY_MS),
            x2="until:Q",
            y=alt.Y("below:Q", title="Alerts", axis=count_axis()),
            y2="top:Q",
            color=levels,
            tooltip=[
                from_clock(),
                alt.Tooltip("level:N", title="Level"),
                alt.Tooltip("alerts:Q", title="Alerts", format=","),
            ],
        ),
        BESIDE,
    )


def alerts_by_level(levels: pd.DataFrame) -> Chart:
    """Alerts by `level` in the order given: `alerts`."""
    base = alt.Chart(levels).encode(
        y=alt.Y("level:N", sort=None, title=None), x=alt.X("alerts:Q", axis=None)
    )
    bars = base.mark_bar(cornerRadiusEnd=3, height=30).encode(
        color=alt.Color("level:N", scale=LEVEL_SCALE, legend=None)
    )
    words = base.mark_text(align="left", dx=6).encode(text=alt.Text("alerts:Q", format=","))
    return alt.layer(bars, words).properties(height=BESIDE)
