"""CORE: the report's charts: a summary → SVG, by Altair and vl-convert, without a browser.

Lato is registered with vl-convert, which measures text with it, when the module is imported.
"""

from pathlib import Path
from typing import Any, Final

import altair as alt
import vl_convert

from deloton.showing.palette import (
    BLUE,
    GENDER_COLOURS,
    GREY,
    INK,
    MEASURE_COLOURS,
    ORANGE,
    PAPER,
    QUIET_INK,
    RULE,
    SKY,
)
from reporter.days import Edition
from reporter.formats import apart
from reporter.summary import Group, Summary, Totals
from reporter.tables import label_of

FONTS: Final = Path(__file__).with_name("fonts")
FONT: Final = "Lato"
# In CSS pixels: what fits on a page of A4 with its margins, whole and half.
WHOLE_WIDTH: Final = 590
HALF_WIDTH: Final = 240
# So narrow that a phone's width shows it nearly as large as it is.
PHONE_WIDTH: Final = 380
FEWEST_LINES: Final = 4

Chart = alt.Chart | alt.LayerChart | alt.FacetChart

vl_convert.register_font_directory(str(FONTS))

_STYLE: Final[dict[str, Any]] = {
    "font": FONT,
    "background": PAPER,
    "view": {"stroke": None},
    "axis": {
        "labelFont": FONT, "titleFont": FONT, "labelFontSize": 10, "titleFontSize": 10,
        "labelColor": QUIET_INK, "titleColor": QUIET_INK, "titleFontWeight": "normal",
        "gridColor": RULE, "domainColor": RULE, "tickColor": RULE, "titlePadding": 8,
    },
    "legend": {"labelFont": FONT, "titleFont": FONT, "labelColor": QUIET_INK},
    "text": {"font": FONT, "fontSize": 10, "color": INK},
}  # fmt: skip


def draw_all(summary: Summary) -> dict[str, str]:
    """Every chart of the report as SVG, by its name; a chart with nothing to show is left out."""
    charts: dict[str, Chart] = {}
    if summary.past:
        charts["past"] = rides_of_past(summary)
    if summary.totals.rides:
        charts["parts"] = rides_by_part(summary)
        charts["power"] = power_by_part(summary)
        charts["genders"] = shares(summary.genders, GENDER_COLOURS)
        charts["ages"] = shares(summary.ages, {})
    return {name: svg_of(chart) for name, chart in charts.items()}


def svg_of(chart: Chart) -> str:
    """The chart as an SVG document; nothing is fetched from anywhere."""
    spec = chart.configure(**_STYLE).to_dict()
    return str(vl_convert.vegalite_to_svg(spec, allowed_base_urls=[]))


def png_of(chart: Chart, scale: float = 3.0) -> bytes:
    """The chart as a picture, for mail programs, which show no SVG."""
    spec = chart.configure(**_STYLE).to_dict()
    return bytes(vl_convert.vegalite_to_png(spec, scale=scale, allowed_base_urls=[]))


def rides_by_part(summary: Summary, width: int = WHOLE_WIDTH, height: int = 135) -> Chart:
    """Rides that started in each hour of the day or day of the week, the busiest in orange."""
    busiest = {id(part) for part in summary.busiest_parts}
    rows = [
        {"n": number, "rides": part.rides, "busiest": id(part) in busiest}
        for number, part in enumerate(summary.parts)
    ]
    colour = alt.condition("datum.busiest", alt.value(ORANGE), alt.value(BLUE))
    bars: Chart = (
        alt.Chart(alt.InlineData(values=rows))
        .mark_bar(cornerRadiusTopLeft=2, cornerRadiusTopRight=2)
        .encode(x=_part_axis(summary), y=_count_axis(summary), color=colour)
        .properties(width=width, height=height)
    )
    return bars


def power_by_part(summary: Summary) -> Chart:
    """Mean power in each hour or day; parts without rides are gaps."""
    rows = [
        {"n": number, "watts": part.mean_power_watts} for number, part in enumerate(summary.parts)
    ]
    measured = [row for row in rows if row["watts"] is not None]
    x = _part_axis(summary)
    y = alt.Y("watts:Q", title="Mean power (W)", axis=alt.Axis(tickCount=4, format=",.0f"))
    line = alt.Chart(alt.InlineData(values=rows)).mark_line(
        color=MEASURE_COLOURS["power_watts"], strokeWidth=2, invalid="break-paths-filter-domains"
    )
    dots = alt.Chart(alt.InlineData(values=measured)).mark_point(
        color=MEASURE_COLOURS["power_watts"], filled=True, size=28, opacity=1
    )
    return alt.layer(line.encode(x=x, y=y), dots.encode(x=x, y=y)).properties(
        width=WHOLE_WIDTH, height=105
    )


def rides_of_past(summary: Summary) -> Chart:
    """Rides of the period and of up to seven before it, this one marked."""
    periods = [*summary.past, summary.totals]
    rows = [
        {"n": number, "label": _period_label(one, summary.edition), "rides": one.rides,
         "text": f"{one.rides:,}", "own": one is summary.totals}
        for number, one in enumerate(periods)
    ]  # fmt: skip
    order = [str(row["label"]) for row in rows]
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        x=alt.X("label:N", sort=order, title=None, axis=alt.Axis(labelAngle=0),
                scale=alt.Scale(padding=0.5, type="point")),
        y=alt.Y("rides:Q", title="Rides", axis=alt.Axis(tickCount=4, format=",.0f"),
                scale=alt.Scale(domain=[0, _headroom(periods)], nice=False)),
    )  # fmt: skip
    own = alt.condition("datum.own", alt.value(ORANGE), alt.value(SKY))
    return alt.layer(
        base.mark_line(color=SKY, strokeWidth=2.5),
        base.mark_point(filled=True, size=60, opacity=1).encode(color=own),
        base.mark_text(dy=-12).encode(text="text:N"),
    ).properties(width=WHOLE_WIDTH, height=120)


def shares(groups: tuple[Group, ...], colours: dict[str, str]) -> Chart:
    """Each group's share of the rides as a bar with its figure."""
    total = sum(group.rides for group in groups) or 1
    largest = max((group.rides / total for group in groups), default=1.0)
    rows = [
        {"label": label_of(group), "share": group.rides / total,
         "text": apart(f"{group.rides / total:.0%}"),
         "colour": colours.get(group.label or "unknown", GREY if group.label is None else BLUE)}
        for group in groups
    ]  # fmt: skip
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        y=alt.Y("label:N", sort=None, title=None,
                axis=alt.Axis(domain=False, ticks=False, labelPadding=6)),
        x=alt.X("share:Q", axis=None, scale=alt.Scale(domain=[0, largest * 1.2])),
    )  # fmt: skip
    bars = base.mark_bar(height=12, cornerRadiusEnd=2).encode(
        color=alt.Color("colour:N", scale=None)
    )
    figures = base.mark_text(align="left", dx=4).encode(text="text:N")
    return alt.layer(bars, figures).properties(width=HALF_WIDTH, height=17 * len(rows))


def _part_axis(summary: Summary) -> alt.X:
    """The parts by number: an hour that comes twice is two bars of the same label."""
    labels = [part.label for part in summary.parts]
    every = 3 if summary.edition is Edition.DAILY else 1
    shown = [number for number in range(len(labels)) if number % every == 0]
    names = "{" + ",".join(f"'{number}':'{labels[number]}'" for number in shown) + "}"
    axis = alt.Axis(labelAngle=0, labelExpr=f"{names}[datum.label] || ''", ticks=False, title=None)
    return alt.X("n:O", axis=axis, scale=alt.Scale(domain=list(range(len(labels)))))


def _count_axis(summary: Summary) -> alt.Y:
    most = max(part.rides for part in summary.parts)
    return alt.Y(
        "rides:Q",
        title="Rides",
        axis=alt.Axis(tickCount=4, format=",.0f"),
        # So high that no line falls between two whole numbers.
        scale=alt.Scale(domain=[0, max(most, FEWEST_LINES)], nice=True),
    )


def _period_label(totals: Totals, edition: Edition) -> str:
    if edition is Edition.WEEKLY:
        return f"Week {totals.on.isocalendar().week}"
    return f"{totals.on:%a} {totals.on.day} {totals.on:%b}"


def _headroom(periods: list[Totals]) -> float:
    """The axis's end: room for the figure above the highest point."""
    return max(max(one.rides for one in periods) * 1.25, FEWEST_LINES)
