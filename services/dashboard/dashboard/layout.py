"""SHELL: what all pages share: the look, the words while the database is away, small pieces."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from zoneinfo import ZoneInfo

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboard.charts.look import Chart, dressed
from dashboard.sharing import Answer
from dashboard.sources import queries
from deloton.showing.palette import (
    ALERT_COLOURS,
    NIGHT_PANEL,
    NIGHT_PAPER,
    NIGHT_QUIET_INK,
    PANEL,
    PAPER,
    QUIET_INK,
)
from deloton.store.database import is_transient

# What the theme cannot say: cards on a page that is a little darker, tiles in even columns, the
# warning at the foot.
_STYLE = f"""<style>
.stApp {{ background: light-dark({PANEL}, {NIGHT_PAPER}); }}
.stAppHeader {{ background: light-dark({PAPER}, {NIGHT_PANEL}) !important;
  box-shadow: 0 1px 3px rgb(0 0 0 / .12); }}
.stMainBlockContainer {{ padding: 5rem 2rem 6rem; max-width: 1800px; }}
h1 {{ padding: 0 0 .8rem !important; }}
[data-testid="stButtonGroup"] button {{ min-height: 2.5rem; }}
[data-stale="true"] {{ opacity: 1 !important; }}
.st-key-last-picture :is([data-testid="stMetric"], .stVegaLiteChart, .stDataFrame, .riders) {{
  filter: grayscale(1); opacity: .8;
}}
[class*="st-key-card-"], [data-testid="stMetric"] {{
  background: light-dark({PAPER}, {NIGHT_PANEL}); border-radius: 10px;
}}
[class*="st-key-tiles-"] {{
  display: grid; gap: .75rem; grid-template-columns: repeat(auto-fit, minmax(10rem, 1fr));
}}
[class*="st-key-tiles-"] > * {{ width: auto !important; min-width: 0; }}
[data-testid="stMetric"] {{ height: 100%; }}
[data-testid="stMetric"] > div {{ padding: .7rem 1rem; }}
[data-testid="stMetricValue"] {{ font-variant-numeric: tabular-nums; }}
[data-testid="stMetricDeltaDescription"] [data-testid="stCaptionContainer"] {{ opacity: 1; }}
[data-testid="stMetricDeltaDescription"] p {{ color: light-dark({QUIET_INK}, {NIGHT_QUIET_INK}); }}
.st-key-others {{
  position: sticky; top: 4.6rem; max-height: calc(100vh - 5.5rem); overflow: auto;
}}
.st-key-danger {{
  position: fixed; left: 0; right: 0; bottom: 0; z-index: 1000; padding: .9rem 2rem;
  color: #fff; background: {ALERT_COLOURS["critical"]}; box-shadow: 0 -4px 24px rgba(0,0,0,.35);
}}
.st-key-danger p {{ font-size: 1.25rem; font-weight: 600; margin: 0; color: #fff; }}
@media (prefers-reduced-motion: no-preference) {{
  .st-key-danger {{ animation: beat 1.2s ease-in-out infinite; }}
  @keyframes beat {{ 50% {{ box-shadow: 0 -4px 32px 6px {ALERT_COLOURS["critical"]}; }} }}
}}
@media (min-width: 1101px) {{
  .st-key-tiles-filters {{ grid-template-columns: auto repeat(4, minmax(8rem, 1fr)); }}
}}
@media (max-width: 1100px) {{
  .st-key-tiles-filters > :first-child {{ grid-column: 1 / -1; }}
  .st-key-closely > [data-testid="stLayoutWrapper"] > [data-testid="stHorizontalBlock"] {{
    flex-wrap: wrap;
  }}
  .st-key-closely > * > * > [data-testid="stColumn"] {{ min-width: 100%; }}
  .st-key-others {{ max-height: none; }}
}}
@media (max-width: 640px) {{
  .stMainBlockContainer {{ padding: 4.5rem .9rem 6rem; }}
  [class*="st-key-tiles-"] {{ grid-template-columns: repeat(auto-fit, minmax(8rem, 1fr)); }}
  [data-testid="stMetric"] > div {{ padding: .5rem .8rem; }}
  [data-testid="stMetricValue"] {{ font-size: 1.45rem; }}
  .st-key-danger p {{ font-size: 1.05rem; }}
}}
</style>"""


@dataclass(frozen=True)
class Tile:
    """A figure with its label; `change` is grey, since no change is good or bad in itself.

    `good` makes it green: something to be glad of.
    """

    label: str
    value: str
    change: str | None = None
    since: str | None = None
    good: bool = False


def dress() -> None:
    """Put our style over Streamlit's."""
    st.html(_STYLE)


def draw(chart: Chart, key: str, alt: str, place: DeltaGenerator | None = None) -> None:
    """Show a chart in our style; `alt` is what it shows, for who cannot see it."""
    (place or st).altair_chart(in_our_style(chart), key=key, alt=alt, theme=None)


def in_our_style(chart: Chart) -> Chart:
    """The chart on the viewer's background."""
    return dressed(chart, night=st.context.theme.type == "dark")


def card(key: str, title: str = "", place: DeltaGenerator | None = None) -> DeltaGenerator:
    """A box with a title, to put a chart or a table into."""
    box = (place or st).container(border=True, key=f"card-{key}")
    if title:
        box.markdown(f"**{title}**")
    return box


def wall_clock(moment: datetime) -> datetime:
    """A moment as the company's clocks show it."""
    return moment.astimezone(company_zone())


def company_zone() -> ZoneInfo:
    """The company's time zone."""
    return ZoneInfo(queries().time_zone)


def page(run_every_s: float) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """A page that draws itself anew; whichever question has no answer, a kind sentence says so."""

    def decorate(draw_page: Callable[[], None]) -> Callable[[], None]:
        @wraps(draw_page)
        def guarded() -> None:
            try:
                draw_page()
            except Exception as error:
                if not is_transient(error):
                    raise
                st.warning(
                    "The database does not answer yet. This page goes on by itself.",
                    icon=":material/cloud_off:",
                )

        return st.fragment(guarded, run_every=run_every_s)

    return decorate


def as_of(answer: Answer, place: DeltaGenerator | None = None) -> DeltaGenerator:
    """Where to show what stands in an answer: grey, under a warning, once it is an old picture."""
    place = place or st.container()
    if not answer.gone_since:
        return place.container(key="picture")
    place.warning(
        f"The database has been away since {wall_clock(answer.gone_since):%H:%M:%S}: "
        "this is the last picture.",
        icon=":material/cloud_off:",
    )
    return place.container(key="last-picture")


def tiles(key: str, entries: Sequence[Tile]) -> None:
    """Tiles in even columns."""
    with st.container(horizontal=True, key=f"tiles-{key}"):
        for tile in entries:
            st.metric(
                tile.label,
                tile.value,
                tile.change,
                border=True,
                delta_color="green" if tile.good else "off",
                delta_arrow="off",
                delta_description=tile.since,
            )


def marked(label: str, colour: str, is_marked: bool) -> str:
    """A label that calls for a look, or the label as it is."""
    return f":{colour}[:material/warning: **{label}**]" if is_marked else label


def chosen_ride() -> int | None:
    """The ride in the address, `?ride=…`."""
    text = st.query_params.get("ride", "")
    return int(text) if text.isdecimal() and int(text) < 2**63 else None
