"""CORE: how every chart looks, by day and by night."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final, Literal

import altair as alt

from deloton.rules.heart_rate import ZONES
from deloton.showing.palette import (
    INK,
    NIGHT_INK,
    NIGHT_QUIET_INK,
    NIGHT_RULE,
    QUIET_INK,
    RULE,
    ZONE_COLOURS,
)

Chart = alt.Chart | alt.LayerChart | alt.FacetChart

FONT: Final = '"Source Sans", sans-serif'
# What is written smaller and paler than the figures: `mark_text(style=QUIET)`.
QUIET: Final = "quiet"
# By the number of a zone.
ZONE_SCALE: Final = alt.Scale(domain=list(ZONE_COLOURS), range=list(ZONE_COLOURS.values()))


# As `deloton.showing.formats` writes them: 53 %, not 53%.
_NUMBERS: Final = {
    "decimal": ".", "thousands": ",", "grouping": [3], "currency": ["£", ""], "percent": " %",
}  # fmt: skip


def dressed(chart: Chart, *, night: bool) -> Chart:
    """The chart in our style: what has no colour of its own is drawn in ink."""
    ink, quiet, rule = (NIGHT_INK, NIGHT_QUIET_INK, NIGHT_RULE) if night else (INK, QUIET_INK, RULE)
    padding = {"left": 2, "right": 6, "top": 4, "bottom": 2}
    styled: Chart = chart.configure(**_style(ink, quiet, rule)).properties(padding=padding)
    return styled


def zone_names(orient: Literal["right", "top"], edges: Sequence[float]) -> alt.Axis:
    """An axis that names the zones beside the plot, where no line can cross their names.

    Each name stands in the middle between two of the `edges`, which are one more than the zones.
    """
    middles = [round((low + high) / 2) for low, high in pairwise(edges)]
    names = [f"{zone.number} {zone.name}" for zone in ZONES]
    expression = f"{names}[indexof({middles}, datum.value)]"
    return alt.Axis(orient=orient, title=None, grid=False, values=middles, labelExpr=expression)


def _style(ink: str, quiet: str, rule: str) -> dict[str, Any]:
    return {
        "font": FONT,
        "locale": {"number": _NUMBERS},
        "background": "transparent",
        "view": {"stroke": None},
        "axis": {
            "labelColor": quiet, "labelFontSize": 12, "labelPadding": 6,
            "titleColor": quiet, "titleFontSize": 12, "titleFontWeight": "normal",
            "titlePadding": 8,
            "gridColor": rule, "domain": False, "ticks": False,
        },
        # Titles of upright axes lie on top of them: nobody has to turn the head.
        "axisY": {
            "titleAngle": 0, "titleAlign": "left", "titleAnchor": "end", "titleX": 0,
            "titleY": -12, "titleBaseline": "bottom",
        },
        "legend": {
            "labelColor": ink, "labelFontSize": 12.5, "symbolType": "square", "symbolSize": 110,
            "offset": 6,
        },
        "text": {"color": ink, "fontSize": 13},
        "line": {"color": ink},
        "arc": {"fill": ink},
        "style": {QUIET: {"fill": quiet, "fontSize": 12}},
    }  # fmt: skip
