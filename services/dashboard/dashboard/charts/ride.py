"""CORE: charts of one ride as functions of a tidy DataFrame; a row a second, gaps as empty rows.

Whatever moves each second is in the data and nothing of it in the specification: browsers then
put new data into the chart they have, and nothing flickers.
"""

from typing import Final

import altair as alt
import pandas as pd

from dashboard.charts.look import QUIET, ZONE_SCALE, Chart, zone_names
from deloton.rules.heart_rate import ZONES
from deloton.showing.formats import per_cent
from deloton.showing.palette import ALERT_COLOURS, MEASURE_COLOURS

LOWEST_BPM: Final = 40.0
# A little above the expected maximum: it is a mean, some hearts go beyond.
HIGHEST_SHARE: Final = 1.12
# Where a limit is written: clear of the heart rates that are usual beside it, and of one another.
_LABEL_DY: Final = {"low": 9, "high": 9, "critical": -8}
_GAUGE_FROM: Final = 0.4
_GAUGE_Y: Final = 105  # where the middle of its circle lies, in pixels from above
_QUARTER_TURN: Final = 3.141592653589793 / 2


def elapsed_axis() -> alt.X:
    """The time of a ride, from `elapsed_ms`: ticks fall on whole minutes or parts of one."""
    axis = alt.Axis(title="Time into the ride (min:s)", format="%-M:%S", grid=False, tickCount=6)
    return alt.X("elapsed_ms:T", axis=axis, scale=alt.Scale(type="utc", nice=False))


def heart_rate_line(readings: pd.DataFrame, maximum_bpm: float, limits: dict[str, float]) -> Chart:
    """Heart rate by elapsed second over the coloured zones, with the limits (level → bpm)."""
    usual_top = HIGHEST_SHARE * maximum_bpm
    highest = readings["heart_rate_bpm"].astype("float64").max()
    top = usual_top if pd.isna(highest) else max(usual_top, highest + 5)
    # How high it reaches is in the zones' data: a heart rate that rises beyond flickers nothing.
    scale = alt.Scale(domainMin=LOWEST_BPM, nice=False, zero=False)
    lines = _timed(readings, "heart_rate_bpm")
    line = (
        alt.Chart(lines)
        .mark_line(strokeWidth=2.25, interpolate="monotone", clip=True)
        .encode(x=elapsed_axis(), y=alt.Y("heart_rate_bpm:Q", scale=scale, axis=None))
    )
    layers = alt.layer(
        _zone_bands(maximum_bpm, top, scale),
        *(_limit(level, bpm, scale) for level, bpm in limits.items()),
        line,
        _hover(lines, "heart_rate_bpm", "Heart rate (bpm)", scale),
    )
    return _own_axes(layers).properties(height=290)


def measure_line(readings: pd.DataFrame, measure: str, title: str) -> Chart:
    """One measure by elapsed second; a second without it is a gap in the line."""
    lines = _timed(readings, measure)
    scale = alt.Scale(zero=True)
    line = (
        alt.Chart(lines)
        .mark_area(
            color=MEASURE_COLOURS[measure],
            fillOpacity=0.14,
            line={"color": MEASURE_COLOURS[measure], "strokeWidth": 1.75},
        )
        .encode(
            x=elapsed_axis(),
            y=alt.Y(f"{measure}:Q", scale=scale, title=title, axis=alt.Axis(tickCount=4)),
        )
    )
    return _own_axes(alt.layer(line, _hover(lines, measure, title, scale))).properties(height=140)


def zone_bars(zones: pd.DataFrame) -> Chart:
    """Time in each zone, as `figures.zone_seconds` gives it, with room for the longest's label."""
    longest = max(60, int(zones["seconds"].max()))
    shown = zones.assign(
        time=[f"{s // 60}:{s % 60:02}" for s in zones["seconds"]],
        length=zones["seconds"] / longest,
    )
    base = alt.Chart(shown).encode(
        x=alt.X("length:Q", axis=None, scale=alt.Scale(domain=[0, 1.2])),
        y=alt.Y("zone:N", title=None, sort=None),
    )
    bars = base.mark_bar(cornerRadiusEnd=3, height=16).encode(
        color=alt.Color("number:O", scale=ZONE_SCALE, legend=None),
        tooltip=[
            alt.Tooltip("zone:N", title="Zone"),
            alt.Tooltip("time:N", title="Time (min:s)"),
            alt.Tooltip("share:Q", title="Share", format=".0%"),
        ],
    )
    words = base.mark_text(align="left", dx=5).encode(text="time:N")
    return alt.layer(bars, words).properties(height=115)


def gauge(share: float | None) -> Chart:
    """The heart rate as a share of the expected maximum (1 is all of it), over the zones."""
    arcs = pd.DataFrame(
        {
            "number": [zone.number for zone in ZONES],
            "zone": [f"{zone.number} {zone.name}" for zone in ZONES],
            "from": [_angle(max(zone.lower, _GAUGE_FROM)) for zone in ZONES],
            "to": [_angle(min(zone.upper, HIGHEST_SHARE)) for zone in ZONES],
        }
    )
    scale = alt.Scale(domain=[-_QUARTER_TURN, _QUARTER_TURN], range=[-_QUARTER_TURN, _QUARTER_TURN])
    band = (
        alt.Chart(arcs)
        .mark_arc(innerRadius=72, outerRadius=92, cornerRadius=2, padAngle=0.02)
        .encode(
            theta=alt.Theta("from:Q", scale=scale, stack=None),
            theta2="to:Q",
            y=alt.value(_GAUGE_Y),
            color=alt.Color("number:O", scale=ZONE_SCALE, legend=None),
            tooltip=[alt.Tooltip("zone:N", title="Zone")],
        )
    )
    # Without a heart rate the needle has no row: the layers stay the same.
    at = [] if share is None else [_angle(min(max(share, _GAUGE_FROM), HIGHEST_SHARE))]
    needle = (
        alt.Chart(pd.DataFrame({"from": [x - 0.025 for x in at], "to": [x + 0.025 for x in at]}))
        .mark_arc(innerRadius=64, outerRadius=100, cornerRadius=2)
        .encode(
            theta=alt.Theta("from:Q", scale=scale, stack=None),
            theta2="to:Q",
            y=alt.value(_GAUGE_Y),
        )
    )
    middle = pd.DataFrame({"words": [per_cent(share)], "under": ["of expected maximum"]})
    text = alt.Chart(middle).encode(y=alt.value(_GAUGE_Y))
    figure = text.mark_text(fontSize=30, fontWeight=600, dy=-24).encode(text="words:N")
    under = text.mark_text(style=QUIET).encode(text="under:N")
    return alt.layer(band, needle, figure, under).properties(height=_GAUGE_Y + 15)


def _angle(share: float) -> float:
    """From a quarter turn left of upright to a quarter turn right of it."""
    return _QUARTER_TURN * (2 * (share - _GAUGE_FROM) / (HIGHEST_SHARE - _GAUGE_FROM) - 1)


def _own_axes(layers: Chart) -> Chart:
    """Layers that draw an upright axis each, where they have one."""
    chart: Chart = layers.resolve_axis(y="independent")
    return chart


def _timed(readings: pd.DataFrame, measure: str) -> pd.DataFrame:
    return pd.DataFrame(
        {"elapsed_ms": readings["elapsed_s"] * 1000, measure: readings[measure].astype("float64")}
    )


def _hover(lines: pd.DataFrame, measure: str, title: str, scale: alt.Scale) -> alt.Chart:
    """Points that show themselves under the pointer, with what was measured there."""
    near = alt.selection_point(nearest=True, on="pointerover", clear="pointerout", empty=False)
    points: alt.Chart = (
        alt.Chart(lines)
        .mark_point(filled=True, size=60, color=MEASURE_COLOURS[measure])
        .encode(
            x=elapsed_axis(),
            y=alt.Y(f"{measure}:Q", scale=scale, axis=None),
            opacity=alt.condition(near, alt.value(1), alt.value(0)),
            tooltip=[
                alt.Tooltip("elapsed_ms:T", title="Time (min:s)", format="%-M:%S"),
                alt.Tooltip(f"{measure}:Q", title=title, format=",.0f"),
            ],
        )
        .add_params(near)
    )
    return points


def _zone_bands(maximum_bpm: float, top: float, scale: alt.Scale) -> Chart:
    begins = [LOWEST_BPM, *(zone.lower * maximum_bpm for zone in ZONES[1:])]
    bands = pd.DataFrame(
        {
            "number": [zone.number for zone in ZONES],
            "from_bpm": begins,
            "to_bpm": [*begins[1:], top],
        }
    )
    plain = alt.Axis(grid=False)
    zones = (
        alt.Chart(bands)
        .mark_rect(opacity=0.22)
        .encode(
            y=alt.Y("from_bpm:Q", title="Heart rate (bpm)", scale=scale, axis=plain),
            y2="to_bpm:Q",
            color=alt.Color("number:O", scale=ZONE_SCALE, legend=None),
        )
    )
    edges = [*begins, HIGHEST_SHARE * maximum_bpm]
    names = alt.Y("from_bpm:Q", scale=scale, axis=zone_names("right", edges))
    return _own_axes(alt.layer(zones, alt.Chart(bands).mark_rule(opacity=0).encode(y=names)))


def _limit(level: str, bpm: float, scale: alt.Scale) -> Chart:
    limit = pd.DataFrame({"limit": [level], "bpm": [bpm], "words": [f"{level} {bpm:.0f}"]})
    base = alt.Chart(limit).encode(y=alt.Y("bpm:Q", scale=scale, axis=None))
    rule = base.mark_rule(color=ALERT_COLOURS[level], strokeDash=[6, 4], strokeWidth=1.75).encode(
        tooltip=[
            alt.Tooltip("limit:N", title="Limit"),
            alt.Tooltip("bpm:Q", title="bpm", format=",.0f"),
        ],
    )
    words = base.mark_text(align="left", dx=4, dy=_LABEL_DY[level], fontWeight=600, fontSize=12)
    return alt.layer(rule, words.encode(x=alt.value(0), text="words:N"))
