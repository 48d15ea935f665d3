"""SHELL: heart-rate alerts: how many, of which level, and how quickly riders were told."""

import pandas as pd
import streamlit as st

from dashboard import alerts
from dashboard.charts import alerts as charts
from dashboard.layout import Tile, as_of, card, company_zone, draw, page, tiles
from dashboard.queries import ALERTS_LIMIT
from dashboard.sources import queries
from deloton.showing.formats import NOTHING, number
from deloton.showing.palette import ALERT_COLOURS, pale


@page(run_every_s=5.0)
def shown_alerts() -> None:
    """The whole page."""
    window = st.segmented_control(
        "Window", list(alerts.WINDOWS_H), default="24 h", required=True, key="alerts-window"
    )
    hours = alerts.WINDOWS_H[str(window)]
    answer = queries().alerts(hours)
    with as_of(answer):
        told(answer.rows)


def told(rows: pd.DataFrame) -> None:
    """What the alerts of a window come to, and each of them."""
    if rows.empty:
        st.info(
            "No alerts in this window: every heart rate was within its limits.",
            icon=":material/favorite:",
        )
        return
    if len(rows) == ALERTS_LIMIT:
        st.warning(f"So many alerts: these are the newest {ALERTS_LIMIT:,} of the window.")
    median, slow = (alerts.latency_s(rows, share) for share in (0.5, 0.99))
    tiles(
        "alert-tiles",
        [
            Tile("Alerts", number(len(rows))),
            Tile("Critical", number((rows["level"] == "critical").sum())),
            Tile("Mailed", number((rows["state"] == "sent").sum())),
            Tile("On their way", number(rows["state"].isin(["pending", "sending"]).sum())),
            Tile("Latency, median", number(median, "s", 2)),
            Tile("Latency, 99 %", number(slow, "s", 2)),
        ],
    )
    left, right = st.columns([2, 1])
    zone = company_zone()
    with card("alerts-by-hour", "Alerts by hour", left):
        by_hour = charts.alerts_by_hour(alerts.by_hour(rows, zone), zone)
        draw(by_hour, "alerts-by-hour", "Alerts by the hour of their reading")
    with card("alerts-by-level", "Alerts by level", right):
        draw(charts.alerts_by_level(alerts.by_level(rows)), "alerts-by-level", "Alerts by level")
    st.dataframe(
        alerts.table_of(rows, zone),
        hide_index=True,
        placeholder=NOTHING,
        key="alerts-table",
        height=min(36 * (len(rows) + 1) + 2, 560),
        column_config={
            "Measured": st.column_config.DatetimeColumn(format="D MMM, HH:mm:ss"),
            "Level": st.column_config.MultiselectColumn(
                options=alerts.LEVELS, color=[pale(ALERT_COLOURS[level]) for level in alerts.LEVELS]
            ),
            "Latency (s)": st.column_config.NumberColumn(format="%.2f"),
            "Limit (bpm)": st.column_config.NumberColumn(format="%.0f"),
            "Ride": st.column_config.LinkColumn(display_text=r"ride=(\d+)"),
        },
    )


st.title("Alerts", anchor=False)
shown_alerts()
