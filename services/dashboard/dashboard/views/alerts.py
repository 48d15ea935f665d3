"""SHELL: heart-rate alerts: how many, of which level, and how quickly riders were told."""

import streamlit as st

from dashboard import alerts
from dashboard import charts_of_many as charts
from dashboard.formats import NOTHING, number
from dashboard.layout import answered, ink, tiles
from dashboard.queries import ALERTS_LIMIT
from dashboard.sources import queries


@st.fragment(run_every=5.0)
def shown_alerts() -> None:
    """The whole page."""
    window = st.segmented_control(
        "Window", list(alerts.WINDOWS_H), default="24 h", required=True, key="alerts-window"
    )
    hours = alerts.WINDOWS_H[str(window)]
    answer = answered(lambda: queries().alerts(hours))
    if answer is None:
        return
    rows = answer.rows
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
            ("Alerts", number(len(rows)), None, None),
            ("Critical", number((rows["level"] == "critical").sum()), None, None),
            ("Mailed", number((rows["state"] == "sent").sum()), None, None),
            ("On their way", number((rows["state"] == "pending").sum()), None, None),
            ("Latency, median", number(median, "s", 2), None, None),
            ("Latency, 99 %", number(slow, "s", 2), None, None),
        ],
    )
    left, right = st.columns([2, 1])
    zone = queries().time_zone
    with left.container(border=True):
        st.markdown("**Alerts by hour**")
        st.altair_chart(charts.alerts_by_hour(alerts.by_hour(rows, zone)), key="alerts-by-hour")
    with right.container(border=True):
        st.markdown("**Alerts by level**")
        st.altair_chart(charts.alerts_by_level(alerts.by_level(rows), ink()), key="alerts-by-level")
    st.dataframe(
        alerts.table_of(rows, zone),
        hide_index=True,
        placeholder=NOTHING,
        key="alerts-table",
        height=min(36 * (len(rows) + 1) + 2, 520),
        column_config={
            "Measured": st.column_config.DatetimeColumn(format="D MMM, HH:mm:ss"),
            "Latency (s)": st.column_config.NumberColumn(format="%.2f"),
            "Limit (bpm)": st.column_config.NumberColumn(format="%.0f"),
            "Ride": st.column_config.NumberColumn(format="%d"),
        },
    )


st.title("Alerts", anchor=False)
shown_alerts()
