"""CORE: charts of one ride as functions of a tidy DataFrame; a row a second, gaps as empty rows."""

from typing import Final

import altair as alt
import pandas as pd

from deloton.heart_rate import ZONES
from deloton.palette import ALERT_COLOURS, INK, MEASURE_COLOURS, ZONE_COLOURS

LOWEST_BPM: Final = 40.0
# A little above the expected maximum: it is a mean, some hearts go beyond.
HIGHEST_SHARE: Final = 1.12
_MINUTES: Final = "utcFormat(datum.value * 1000, '%-M:%S')"
_GAUGE_FROM: Final = 0.4
_GAUGE_Y: Final = 105  # where the middle of its circle lies, in pixels from above
_HALF_TURN: Final = 3.141592653589793 / 2


def elapsed_axis(title: str | None = "Time into the ride (min:s)") -> alt.X:
    """The seconds of a ride, written as minutes and seconds."""
    axis = alt.Axis(title=title, labelExpr=_MINUTES, grid=False, tickCount=6)
    return alt.X("elapsed_s:Q", axis=axis, scale=alt.Scale(nice=False))


def heart_rate_line(
    readings: pd.DataFrame, maximum_bpm: float, limits: dict[str, float], ink: str = INK
) -> alt.LayerChart | alt.FacetChart:
    """Heart rate by elapsed second over the coloured zones, with the limits (level → bpm)."""
    top = max(HIGHEST_SHARE * maximum_bpm, readings["heart_rate_bpm"].astype("float64").max() + 5)
    top = HIGHEST_SHARE * maximum_bpm if pd.isna(top) else top
    scale = alt.Scale(domain=[LOWEST_BPM, top], nice=False, zero=False)
    lines = readings[["elapsed_s", "heart_rate_bpm"]]
    line = (
        alt.Chart(lines)
        .mark_line(color=ink, strokeWidth=2, interpolate="monotone", clip=True)
        .encode(
            x=elapsed_axis(),
            y=alt.Y("heart_rate_bpm:Q", scale=scale, title="Heart rate (bpm)"),
        )
    )
    return alt.layer(
        _zone_bands(maximum_bpm, top, scale, ink),
        *(_limit(level, bpm, scale, ink) for level, bpm in limits.items()),
        line,
        _hover(lines, "heart_rate_bpm", "Heart rate (bpm)", scale),
    ).properties(height=300)


def measure_line(
    readings: pd.DataFrame, measure: str, title: str
) -> alt.LayerChart | alt.FacetChart:
    """One measure by elapsed second; a second without it is a gap in the line."""
    lines = readings[["elapsed_s", measure]]
    scale = alt.Scale(zero=True)
    line = (
        alt.Chart(lines)
        .mark_area(
            color=MEASURE_COLOURS[measure],
            fillOpacity=0.12,
            line={"color": MEASURE_COLOURS[measure], "strokeWidth": 1.75},
        )
        .encode(
            x=elapsed_axis(),
            y=alt.Y(f"{measure}:Q", scale=scale, title=title, axis=alt.Axis(tickCount=4)),
        )
    )
    return alt.layer(line, _hover(lines, measure, title, scale)).properties(height=170)


def zone_bars(zones: pd.DataFrame, ink: str = INK) -> alt.LayerChart | alt.FacetChart:
    """Time in each zone, as `figures.zone_seconds` gives it."""
    shown = zones.assign(time=[f"{s // 60}:{s % 60:02}" for s in zones["seconds"]])
    colours = alt.Scale(domain=list(zones["number"]), range=list(ZONE_COLOURS.values()))
    longest = max(60, int(zones["seconds"].max() * 1.18))
    base = alt.Chart(shown).encode(y=alt.Y("zone:N", title=None, sort=None))
    bars = base.mark_bar(cornerRadiusEnd=3, height=16).encode(
        x=alt.X("seconds:Q", axis=None, scale=alt.Scale(domain=[0, longest])),
        color=alt.Color("number:O", scale=colours, legend=None),
        tooltip=[
            alt.Tooltip("zone:N", title="Zone"),
            alt.Tooltip("time:N", title="Time (min:s)"),
            alt.Tooltip("share:Q", title="Share", format=".0%"),
        ],
    )
    words = base.mark_text(align="left", dx=5, color=ink).encode(x="seconds:Q", text="time:N")
    return alt.layer(bars, words).properties(height=135)


def gauge(share: float | None, ink: str = INK) -> alt.LayerChart | alt.FacetChart:
    """The heart rate as a share of the expected maximum (1 is all of it), over the zones."""
    arcs = pd.DataFrame(
        {
            "number": [zone.number for zone in ZONES],
            "zone": [f"{zone.number} {zone.name}" for zone in ZONES],
            "from": [_angle(max(zone.lower, _GAUGE_FROM)) for zone in ZONES],
            "to": [_angle(min(zone.upper, HIGHEST_SHARE)) for zone in ZONES],
        }
    )
    colours = alt.Scale(domain=list(arcs["number"]), range=list(ZONE_COLOURS.values()))
    scale = alt.Scale(domain=[-_HALF_TURN, _HALF_TURN], range=[-_HALF_TURN, _HALF_TURN])
    band = (
        alt.Chart(arcs)
        .mark_arc(innerRadius=72, outerRadius=92, cornerRadius=2, padAngle=0.02)
        .encode(
            theta=alt.Theta("from:Q", scale=scale, stack=None),
            theta2="to:Q",
            y=alt.value(_GAUGE_Y),
            color=alt.Color("number:O", scale=colours, legend=None),
            tooltip=[alt.Tooltip("zone:N", title="Zone")],
        )
    )
    words = "–" if share is None else f"{share:.0%}"
    middle = pd.DataFrame({"words": [words], "under": ["of expected maximum"]})
    text = alt.Chart(middle).encode(y=alt.value(_GAUGE_Y))
    figure = text.mark_text(fontSize=30, fontWeight=600, dy=-26, color=ink)
    under = text.mark_text(fontSize=12, color=ink, opacity=0.75)
    layers = [band, figure.encode(text="words:N"), under.encode(text="under:N")]
    if share is not None:
        at = _angle(min(max(share, _GAUGE_FROM), HIGHEST_SHARE))
        needle = pd.DataFrame({"from": [at - 0.025], "to": [at + 0.025]})
        layers.insert(
            1,
            alt.Chart(needle)
            .mark_arc(innerRadius=64, outerRadius=100, color=ink, cornerRadius=2)
            .encode(
                theta=alt.Theta("from:Q", scale=scale, stack=None),
                theta2="to:Q",
                y=alt.value(_GAUGE_Y),
            ),
        )
    return alt.layer(*layers).properties(height=_GAUGE_Y + 15)


def _angle(share: float) -> float:
    """From a quarter turn left of upright to a quarter turn right of it."""
    return _HALF_TURN * (2 * (share - _GAUGE_FROM) / (HIGHEST_SHARE - _GAUGE_FROM) - 1)


def _hover(lines: pd.DataFrame, measure: str, title: str, scale: alt.Scale) -> alt.Chart:
    """Points that show themselves under the pointer, with what was measured there."""
    seconds = lines.dropna()
    seconds = seconds.assign(time=[f"{s // 60}:{s % 60:02}" for s in seconds["elapsed_s"]])
    near = alt.selection_point(nearest=True, on="pointerover", clear="pointerout", empty=False)
    points: alt.Chart = (
        alt.Chart(seconds)
        .mark_point(filled=True, size=60, color=MEASURE_COLOURS[measure])
        .encode(
            x=elapsed_axis(),
            y=alt.Y(f"{measure}:Q", scale=scale, title=title),
            opacity=alt.condition(near, alt.value(1), alt.value(0)),
            tooltip=[
                alt.Tooltip("time:N", title="Time (min:s)"),
                alt.Tooltip(f"{measure}:Q", title=title, format=",.0f"),
            ],
        )
        .add_params(near)
    )
    return points


def _zone_bands(
    maximum_bpm: float, top: float, scale: alt.Scale, ink: str
) -> alt.LayerChart | alt.FacetChart:
    bands = pd.DataFrame(
        {
            "number": [zone.number for zone in ZONES],
            "zone": [f"{zone.number} {zone.name}" for zone in ZONES],
            "from_bpm": [max(LOWEST_BPM, zone.lower * maximum_bpm) for zone in ZONES],
            "to_bpm": [min(zone.upper * maximum_bpm, top) for zone in ZONES],
        }
    )
    bands["middle_bpm"] = (bands["from_bpm"] + bands["to_bpm"]) / 2
    colours = alt.Scale(domain=list(bands["number"]), range=list(ZONE_COLOURS.values()))
    zones = (
        alt.Chart(bands)
        .mark_rect(opacity=0.22)
        .encode(
            y=alt.Y("from_bpm:Q", title="Heart rate (bpm)", scale=scale),
            y2="to_bpm:Q",
            color=alt.Color("number:O", scale=colours, legend=None),
        )
    )
    words = (
        alt.Chart(bands)
        .mark_text(align="right", dx=-6, fontSize=11, color=ink, opacity=0.8)
        .encode(x=alt.value("width"), y=alt.Y("middle_bpm:Q", scale=scale), text=alt.Text("zone:N"))
    )
    return alt.layer(zones, words)


def _limit(level: str, bpm: float, scale: alt.Scale, ink: str) -> alt.LayerChart | alt.FacetChart:
    limit = pd.DataFrame({"limit": [level], "bpm": [bpm], "words": [f"{level} {bpm:.0f}"]})
    base = alt.Chart(limit).encode(y=alt.Y("bpm:Q", scale=scale))
    rule = base.mark_rule(color=ALERT_COLOURS[level], strokeDash=[6, 4], strokeWidth=1.75).encode(
        tooltip=[
            alt.Tooltip("limit:N", title="Limit"),
            alt.Tooltip("bpm:Q", title="bpm", format=",.0f"),
        ],
    )
    words = base.mark_text(align="left", dx=4, dy=-7, fontWeight=600, color=ink).encode(
        x=alt.value(0), text="words:N"
    )
    return alt.layer(rule, words)
