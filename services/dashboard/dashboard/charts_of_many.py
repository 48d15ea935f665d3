"""CORE: charts of many rides and alerts as functions of a tidy DataFrame.

Where a chart can be clicked, its selection is called `PICK` and gives the field it is picked by;
what is not among the picked values is drawn faintly.
"""

from collections.abc import Collection
from typing import Final

import altair as alt
import pandas as pd

from dashboard.chart_look import ZONE_SCALE, Chart, zone_names
from dashboard.figures import SHARES_SHOWN
from deloton.heart_rate import ZONES
from deloton.palette import ALERT_COLOURS, BLUE, GENDER_COLOURS, GREY, INK

PICK: Final = "pick"
_FAINT: Final = 0.25
HEIGHT: Final = 190

LEVEL_SCALE: Final = alt.Scale(domain=list(ALERT_COLOURS), range=list(ALERT_COLOURS.values()))
_GENDER_SCALE: Final = alt.Scale(domain=list(GENDER_COLOURS), range=list(GENDER_COLOURS.values()))
_WHEN: Final = "%-d %b %H:%M"
# Midnight is written as its day.
_CLOCK_OR_DAY: Final = (
    "timeFormat(datum.value, hours(datum.value) + minutes(datum.value) ? '%H:%M' : '%-d %b')"
)

# Short enough for a phone.
_AGE_AXIS: Final = alt.Axis(
    labelAngle=0,
    labelOverlap="greedy",
    labelExpr="replace(replace(datum.label, 'under ', '<'), ' and over', '+')",
)


def fleet_bars(shares: pd.DataFrame) -> Chart:
    """Riders by how hard their hearts work, as `figures.riders_by_share` gives it."""
    scale = alt.Scale(domain=list(SHARES_SHOWN), nice=False)
    bars = (
        alt.Chart(shares)
        .mark_bar(binSpacing=2, cornerRadiusEnd=3)
        .encode(
            x=alt.X(
                "from_percent:Q",
                title="% of expected maximum",
                axis=alt.Axis(grid=False, tickCount=8),
                scale=scale,
            ),
            x2="to_percent:Q",
            y=alt.Y(
                "riders:Q",
                title="Riders",
                axis=alt.Axis(tickMinStep=1, tickCount=3, format=",d", titleY=-28),
                scale=alt.Scale(domainMin=0),
            ),
            y2=alt.datum(0),
            color=alt.Color("number:O", scale=ZONE_SCALE, legend=None),
            tooltip=[
                alt.Tooltip("from_percent:Q", title="From (%)"),
                alt.Tooltip("zone:N", title="Zone"),
                alt.Tooltip("riders:Q", title="Riders", format=","),
            ],
        )
    )
    layers = alt.layer(bars, _zone_limits(scale)).properties(height=170)
    chart: Chart = layers.resolve_axis(x="independent")
    return chart


def _zone_limits(scale: alt.Scale) -> alt.Chart:
    """The names of the zones above the plot, and lines where they begin."""
    begins = [100 * zone.lower for zone in ZONES[1:]]
    names = zone_names("top", [SHARES_SHOWN[0], *begins, SHARES_SHOWN[1]])
    rules: alt.Chart = (
        alt.Chart(pd.DataFrame({"begins": begins}))
        .mark_rule(strokeDash=[2, 3], color=GREY)
        .encode(x=alt.X("begins:Q", scale=scale, axis=names))
    )
    return rules


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
    return alt.layer(bars, words).properties(height=HEIGHT)


def age_bars(bands: pd.DataFrame, picked: Collection[object]) -> alt.Chart:
    """Rides by age band, youngest first; picked by `age_band`."""
    chart: alt.Chart = (
        _bars(bands, "age_band", picked)
        .mark_bar(color=BLUE, cornerRadiusEnd=3, cursor="pointer")
        .encode(
            x=alt.X("age_band:N", sort=None, title="Age (years)", axis=_AGE_AXIS),
            y=_rides(),
            tooltip=[alt.Tooltip("age_band:N", title="Age"), _rides_tooltip()],
        )
        .properties(height=HEIGHT)
    )
    return chart


def hour_bars(hours: pd.DataFrame, picked: Collection[object]) -> alt.Chart:
    """Rides by the hour they began in; picked by `hour_no`."""
    chart: alt.Chart = (
        _bars(hours, "hour_no", picked)
        .mark_bar(color=BLUE, cursor="pointer", binSpacing=1)
        .encode(
            x=alt.X("at:T", title="Hour in which the ride began", axis=_time_axis()),
            x2="until:T",
            y=_rides(),
            y2=alt.datum(0),
            tooltip=[alt.Tooltip("at:T", title="From", format=_WHEN), _rides_tooltip()],
        )
        .properties(height=HEIGHT)
    )
    return chart


def duration_bars(durations: pd.DataFrame, picked: Collection[object]) -> alt.Chart:
    """Rides by how many full minutes they lasted; picked by `minutes`."""
    chart: alt.Chart = (
        _bars(durations, "minutes", picked)
        .mark_bar(color=BLUE, cursor="pointer", binSpacing=1)
        .encode(
            x=alt.X(
                "minutes:Q",
                title="Duration (min)",
                axis=alt.Axis(tickMinStep=1, grid=False, format="d"),
                scale=alt.Scale(zero=False, nice=False),
            ),
            x2="to_minutes:Q",
            y=_rides(),
            y2=alt.datum(0),
            tooltip=[
                alt.Tooltip("minutes:Q", title="From (min)"),
                alt.Tooltip("to_minutes:Q", title="To (min)"),
                _rides_tooltip(),
            ],
        )
        .properties(height=HEIGHT)
    )
    return chart


def power_line(power: pd.DataFrame, measure: str, title: str) -> alt.Chart:
    """Power by time, as `recent.power_over_time` gives it; a step without rides is a gap."""
    chart: alt.Chart = (
        alt.Chart(power[["at", "rides", measure]])
        .mark_area(
            color=BLUE,
            fillOpacity=0.12,
            interpolate="monotone",
            line={"color": BLUE, "strokeWidth": 2},
            point={"color": BLUE, "size": 18, "filled": True},
        )
        .encode(
            x=alt.X("at:T", title="When the ride began", axis=_time_axis()),
            y=alt.Y(f"{measure}:Q", title=title, axis=alt.Axis(tickCount=5, format=",d")),
            tooltip=[
                alt.Tooltip("at:T", title="From", format=_WHEN),
                alt.Tooltip(f"{measure}:Q", title=title, format=",.0f"),
                _rides_tooltip(),
            ],
        )
        .properties(height=260)
    )
    return chart


def alerts_by_hour(hours: pd.DataFrame) -> alt.Chart:
    """Alerts by hour and level, as `alerts.by_hour` gives them: stacked, the worst at the foot."""
    chart: alt.Chart = (
        alt.Chart(hours)
        .mark_bar(binSpacing=1)
        .encode(
            x=alt.X(
                "at:T",
                title="Hour of the reading",
                scale=_at_least(hours, pd.Timedelta(days=1)),
                axis=_time_axis(),
            ),
            x2="until:T",
            y=alt.Y("below:Q", title="Alerts", axis=_count_axis()),
            y2="top:Q",
            color=_level(),
            tooltip=[
                alt.Tooltip("at:T", title="From", format=_WHEN),
                alt.Tooltip("level:N", title="Level"),
                alt.Tooltip("alerts:Q", title="Alerts", format=","),
            ],
        )
        .properties(height=HEIGHT)
    )
    return chart


def alerts_by_level(levels: pd.DataFrame) -> Chart:
    """Alerts by `level` in the order given: `alerts`."""
    base = alt.Chart(levels).encode(
        y=alt.Y("level:N", sort=None, title=None), x=alt.X("alerts:Q", axis=None)
    )
    bars = base.mark_bar(cornerRadiusEnd=3, height=30).encode(
        color=alt.Color("level:N", scale=LEVEL_SCALE, legend=None)
    )
    words = base.mark_text(align="left", dx=6).encode(text=alt.Text("alerts:Q", format=","))
    return alt.layer(bars, words).properties(height=HEIGHT)


def weekly_bars(weeks: pd.DataFrame, measure: str, title: str) -> alt.Chart:
    """A measure by week (`at`, `until`: ISO days), with the weeks' `rides` and `riders`."""
    chart: alt.Chart = (
        alt.Chart(weeks)
        .mark_bar(color=BLUE, binSpacing=2, cornerRadiusEnd=3)
        .encode(
            x=alt.X(
                "at:T",
                title="Week from",
                axis=alt.Axis(format="%-d %b", grid=False, values=_days(weeks["at"])),
                scale=_at_least(weeks, pd.Timedelta(weeks=8)),
            ),
            x2="until:T",
            y=alt.Y(f"{measure}:Q", title=title, axis=alt.Axis(tickCount=5, format=",~f")),
            y2=alt.datum(0),
            tooltip=[
                alt.Tooltip("at:T", title="Week from", format="%-d %b %Y"),
                _rides_tooltip(),
                alt.Tooltip("riders:Q", title="Riders", format=","),
                alt.Tooltip(f"{measure}:Q", title=title, format=",.0f"),
            ],
        )
        .properties(height=260)
    )
    return chart


def _bars(rows: pd.DataFrame, field: str, picked: Collection[object]) -> alt.Chart:
    shown = rows.assign(shown=_strength(rows[field], picked))
    chart: alt.Chart = (
        alt.Chart(shown)
        .mark_bar()
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


def _at_least(rows: pd.DataFrame, span: pd.Timedelta) -> alt.Scale:
    """Up to the last `until`, from the first `at` or earlier: a single bar would be a wall."""
    at = min(pd.Timestamp(rows["at"].min()), pd.Timestamp(rows["until"].max()) - span)
    first = alt.DateTime(year=at.year, month=at.month, date=at.day, hours=at.hour)
    return alt.Scale(domainMin=first)


def _days(at: "pd.Series[str]") -> list[str]:
    """Mondays to write on the axis: at most a dozen of them."""
    days = list(at)
    return days[:: -(-len(days) // 12) or 1]


def _rides() -> alt.Y:
    return alt.Y("rides:Q", title="Rides", axis=_count_axis())


def _rides_tooltip() -> alt.Tooltip:
    return alt.Tooltip("rides:Q", title="Rides", format=",")


def _count_axis() -> alt.Axis:
    return alt.Axis(tickMinStep=1, tickCount=5, format=",d")


def _time_axis() -> alt.Axis:
    return alt.Axis(
        grid=False, tickCount=8, labelExpr=_CLOCK_OR_DAY, labelFlush=False, labelOverlap="greedy",
        labelSeparation=6,
    )  # fmt: skip


def _level() -> alt.Color:
    legend = alt.Legend(orient="right", title=None)
    return alt.Color("level:N", scale=LEVEL_SCALE, legend=legend)
