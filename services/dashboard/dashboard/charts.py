"""CORE: charts as functions of a tidy DataFrame."""

import altair as alt
import pandas as pd

from deloton.heart_rate import ZONES
from deloton.palette import ALERT_COLOURS, MEASURE_COLOURS, ZONE_COLOURS

LOWEST_BPM = 40.0


def heart_rate_line(
    readings: pd.DataFrame, maximum_bpm: float | None, limits: dict[str, float]
) -> alt.LayerChart | alt.FacetChart:
    """Heart rate by elapsed second over the zones, with the rider's limits (level → bpm).

    `readings`: a row a second, gaps as empty rows. Without a maximum there are no zones.
    """
    layers: list[alt.Chart] = []
    if maximum_bpm is not None:
        layers.append(_zone_bands(maximum_bpm))
    layers += [_limit(level, bpm) for level, bpm in limits.items()]
    layers.append(measure_line(readings, "heart_rate_bpm", "Heart rate (bpm)"))
    return alt.layer(*layers).properties(height=280)


def measure_line(readings: pd.DataFrame, measure: str, title: str) -> alt.Chart:
    """One measure by elapsed second; a second without it is a gap in the line."""
    axis = alt.Axis(title=title, tickCount=5)
    line: alt.Chart = (
        alt.Chart(readings[["elapsed_s", measure]])
        .mark_line(color=MEASURE_COLOURS[measure], strokeWidth=2)
        .encode(
            x=alt.X("elapsed_s:Q", title="Time into the ride (s)"),
            y=alt.Y(f"{measure}:Q", axis=axis, scale=alt.Scale(zero=measure != "heart_rate_bpm")),
            tooltip=[
                alt.Tooltip("elapsed_s:Q", title="Second"),
                alt.Tooltip(f"{measure}:Q", title=title, format=",.0f"),
            ],
        )
        .properties(height=160)
    )
    return line


def _zone_bands(maximum_bpm: float) -> alt.Chart:
    bands = pd.DataFrame(
        {
            "zone": [f"{zone.number} {zone.name}" for zone in ZONES],
            "from_bpm": [max(LOWEST_BPM, zone.lower * maximum_bpm) for zone in ZONES],
            "to_bpm": [min(zone.upper, 1.1) * maximum_bpm for zone in ZONES],
        }
    )
    colours = alt.Scale(domain=list(bands["zone"]), range=list(ZONE_COLOURS.values()))
    zones: alt.Chart = (
        alt.Chart(bands)
        .mark_rect(opacity=0.18)
        .encode(
            y=alt.Y("from_bpm:Q", title="Heart rate (bpm)"),
            y2="to_bpm:Q",
            color=alt.Color("zone:N", scale=colours, title="Zone", legend=alt.Legend(orient="top")),
        )
    )
    return zones


def _limit(level: str, bpm: float) -> alt.Chart:
    rule: alt.Chart = (
        alt.Chart(pd.DataFrame({"limit": [level], "bpm": [bpm]}))
        .mark_rule(color=ALERT_COLOURS[level], strokeDash=[6, 4], strokeWidth=2)
        .encode(
            y="bpm:Q",
            tooltip=[
                alt.Tooltip("limit:N", title="Limit"),
                alt.Tooltip("bpm:Q", title="bpm", format=",.0f"),
            ],
        )
    )
    return rule
