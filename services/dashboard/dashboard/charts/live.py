"""CORE: charts of all rides under way."""

from typing import Final

import altair as alt
import pandas as pd

from dashboard.charts.look import ZONE_SCALE, Chart, zone_names
from dashboard.figures import SHARES_SHOWN
from deloton.rules.heart_rate import ZONES
from deloton.showing.palette import GREY

# Pixels: with the names of the zones above it, it stands over the riders' cards.
_HEIGHT: Final = 170


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
    layers = alt.layer(bars, _zone_limits(scale)).properties(height=_HEIGHT)
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
