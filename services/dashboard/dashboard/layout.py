"""SHELL: what all pages share: the look, the words while the database is away, small pieces."""

from collections.abc import Callable, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import streamlit as st

from dashboard.sharing import Answer
from dashboard.sources import queries
from deloton.database import is_transient
from deloton.palette import ALERT_COLOURS, INK, NIGHT_INK

# What the theme cannot say: less air on top, tiles that are cards, the warning at the foot.
_STYLE = f"""<style>
.stMainBlockContainer {{ padding: 4.2rem 2rem 6rem; max-width: 1500px; }}
[data-testid="stMetric"] {{ min-width: 9.5rem; }}
[data-testid="stMetricValue"] {{ font-variant-numeric: tabular-nums; }}
[data-testid="stMetricLabel"] {{ opacity: .8; }}
h1 {{ padding: 0 !important; margin-bottom: .6rem !important; }}
[data-stale="true"] {{ opacity: 1 !important; }}
.st-key-danger {{
  position: fixed; left: 0; right: 0; bottom: 0; z-index: 1000; padding: .9rem 2rem;
  color: #fff; background: {ALERT_COLOURS["critical"]}; box-shadow: 0 -4px 24px rgba(0,0,0,.35);
}}
.st-key-danger p {{ font-size: 1.25rem; font-weight: 600; margin: 0; color: #fff; }}
@media (prefers-reduced-motion: no-preference) {{
  .st-key-danger {{ animation: beat 1.2s ease-in-out infinite; }}
  @keyframes beat {{ 50% {{ box-shadow: 0 -4px 32px 6px {ALERT_COLOURS["critical"]}; }} }}
}}
@media (max-width: 640px) {{
  .stMainBlockContainer {{ padding: 4rem .9rem 6rem; }}
  [data-testid="stMetric"] {{ min-width: 8rem; padding: .6rem .8rem; }}
  .st-key-danger p {{ font-size: 1.05rem; }}
}}
</style>"""


def dress() -> None:
    """Put our style over Streamlit's."""
    st.html(_STYLE)


def ink() -> str:
    """The colour of words and lines on the viewer's background."""
    return NIGHT_INK if st.context.theme.type == "dark" else INK


def wall_clock(moment: datetime) -> datetime:
    """A moment as the company's clocks show it."""
    return moment.astimezone(ZoneInfo(queries().time_zone))


def answered(ask: Callable[[], Answer]) -> Answer | None:
    """An answer, or a kind sentence and None while there is none."""
    try:
        answer = ask()
    except Exception as error:
        if not is_transient(error):
            raise
        st.warning(
            "The database does not answer yet. This page goes on by itself.",
            icon=":material/cloud_off:",
        )
        return None
    if answer.gone_since:
        st.warning(
            f"The database has been away since {wall_clock(answer.gone_since):%H:%M:%S}: "
            "this is the last picture.",
            icon=":material/cloud_off:",
        )
    return answer


def tiles(key: str, entries: Sequence[tuple[str, str, str | None, str | None]]) -> None:
    """Cards in a row that wraps: label, value, change (or None), what it is a change since."""
    with st.container(horizontal=True, key=key, gap="small"):
        for label, value, change, since in entries:
            # A change is neither good nor bad in itself: grey.
            st.metric(
                label,
                value,
                change,
                border=True,
                delta_color="off",
                delta_arrow="off",
                delta_description=since,
            )


def chosen_ride() -> int | None:
    """The ride in the address, `?ride=…`."""
    text = st.query_params.get("ride", "")
    return int(text) if text.isdecimal() and int(text) < 2**63 else None
