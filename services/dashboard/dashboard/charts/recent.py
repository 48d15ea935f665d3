"""CORE: charts of the rides of a window.

Where a chart can be clicked, its selection is called `PICK` and gives the field it is picked by;
what is not among the picked values is drawn faintly.
"""

from collections.abc import Collection
from typing import Any, Final
from zoneinfo import ZoneInfo

import altair as alt
import pandas as pd

from dashboard.charts.look import Chart
from dashboard.charts.parts import (
    ALONE,
    BESIDE,
    clock_axis,
    from_clock,
    of_height,
    rides_height,
    rides_tooltip,
)
from deloton.showing.palette import BLUE, GENDER_COLOURS, INK

PICK: Final = "pick"
_FAINT: Final = 0.25

_GENDER_SCALE: Final = alt.Scale(domain=list(GENDER_COLOURS), range=list(GENDER_COLOURS.values()))

# Short enough for a phone.
_AGE_AXIS: Final = alt.Axis(
    labelAngle=0,
    labelOverlap="greedy",
    labelExpr="replace(replace(datum.label, 'under ', '<'), ' and over', '+')",
)


def gender_bars(shares: pd.DataFrame, picked: Collection[object]) -> Chart:
    """Shares of rides and of time ridden by gender; picked by `gender`."""
    shown = shares.assign(shown=_strength(shares["gender"], picked))
    base = alt.Chart(shown).encode(y=alt.Y("of:N", title=None, sort=None))
    bars = (
        base.mark_bar(height=46, cursor="pointer")
        .encode(
            x=alt.X(
                "from:Q",
                axis=alt.Axis(format="%", title="Share", tickCount=5),
                scale=alt.Scale(domain=[0, 1]),
            ),
            x2="to:Q",
            color=alt.Color(
                "gender:N",
                scale=_GENDER_SCALE,
                legend=alt.Legend(orient="top", title=None, values=_present(shares["gender"])),
            ),
            opacity=alt.Opacity("shown:Q", scale=None, legend=None),
            tooltip=[
                alt.Tooltip("of:N", title="Of"),
                alt.Tooltip("gender:N", title="Gender"),
                alt.Tooltip("share:Q", title="Share", format=".1%"),
            ],
        )
        .add_params(_pick("gender"))
    )
    words = (
        base.mark_text(fontWeight=600)
        .encode(
            x=alt.X("middle:Q"),
            text=alt.Text("share:Q", format=".0%"),
            color=alt.condition("datum.gender == 'male'", alt.value("white"), alt.value(INK)),
        )
        .transform_calculate(middle="(datum.from + datum.to) / 2")
        .transform_filter("datum.share > 0.06")
    )
    return alt.layer(bars, words).properties(height=BESIDE)


def age_bars(bands: pd.DataFrame, picked: Collection[object]) -> alt.Chart:
    """Rides by age band, youngest first; picked by `age_band`."""
    return of_height(
        _clickable_bars(bands, "age_band", picked, cornerRadiusEnd=3).encode(
            x=alt.X("age_band:N", sort=None, title="Age (years)", axis=_AGE_AXIS),
            y=rides_height(),
            tooltip=[alt.Tooltip("age_band:N", title="Age"), rides_tooltip()],
        ),
        BESIDE,
    )


def hour_bars(hours: pd.DataFrame, picked: Collection[object], zone: ZoneInfo) -> alt.Chart:
    """Rides by the hour they began in; picked by `hour`."""
    return of_height(
        _clickable_bars(hours, "hour", picked, binSpacing=1).encode(
            x=clock_axis(hours, "Hour in which the ride began", zone),
            x2="until:Q",
            y=rides_height(),
            y2=alt.datum(0),
            tooltip=[from_clock(), rides_tooltip()],
        ),
        BESIDE,
    )


def duration_bars(durations: pd.DataFrame, picked: Collection[object]) -> alt.Chart:
    """Rides by how many full minutes they lasted; picked by `minutes`."""
    return of_height(
        _clickable_bars(durations, "minutes", picked, binSpacing=1).encode(
            x=alt.X(
                "minutes:Q",
                title="Duration (min)",
                axis=alt.Axis(tickMinStep=1, grid=False, format="d"),
                scale=alt.Scale(zero=False, nice=False),
            ),
            x2="to_minutes:Q",
            y=rides_height(),
            y2=alt.datum(0),
            tooltip=[
                alt.Tooltip("minutes:Q", title="From (min)"),
                alt.Tooltip("to_minutes:Q", title="To (min)"),
                rides_tooltip(),
            ],
        ),
        BESIDE,
    )


def power_line(power: pd.DataFrame, measure: str, title: str, zone: ZoneInfo) -> alt.Chart:
    """Power by time, as `recent.power_over_time` gives it; a step without rides is a gap."""
    return of_height(
        alt.Chart(power[["at", "clock", "rides", measure]])
        .mark_area(
            color=BLUE,
            fillOpacity=0.12,
            interpolate="monotone",
            line={"color": BLUE, "strokeWidth": 2},
            point={"color": BLUE, "size": 18, "filled": True},
        )
        .encode(
            x=clock_axis(power, "When the ride began", zone),
            y=alt.Y(f"{measure}:Q", title=title, axis=alt.Axis(tickCount=5, format=",d")),
            tooltip=[
                from_clock(),
                alt.Tooltip(f"{measure}:Q", title=title, format=",.0f"),
                rides_tooltip(),
            ],
        ),
        ALONE,
    )


def _clickable_bars(
    rows: pd.DataFrame,
    field: str,
    picked: Collection[object],
    **look: Any,  # noqa: ANN401  as mark_bar() takes them
) -> alt.Chart:
    """Bars that are picked by a field; `look` is the mark's."""
    shown = rows.assign(shown=_strength(rows[field], picked))
    chart: alt.Chart = (
        alt.Chart(shown)
        .mark_bar(color=BLUE, cursor="pointer", **look)
        .encode(opacity=alt.Opacity("shown:Q", scale=None, legend=None), detail=f"{field}:N")
        .add_params(_pick(field))
    )
    return chart


def _pick(field: str) -> alt.Parameter:
    return alt.selection_point(name=PICK, fields=[field])


def _strength(values: "pd.Series[object]", picked: Collection[object]) -> list[float]:
    return [1.0 if not picked or value in picked else _FAINT for value in values]


def _present(values: "pd.Series[object]") -> list[str]:
    return [str(value) for value in dict.fromkeys(values)]
