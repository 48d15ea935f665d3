"""SHELL: the script Streamlit runs for each viewer: the pages and the way between them."""

from pathlib import Path

import streamlit as st

from dashboard.layout import dress

ICON = str(Path(__file__).with_name("icon.png"))

st.set_page_config(page_title="Deloton", page_icon=ICON, layout="wide")
dress()
st.navigation(
    [
        st.Page("pages/live.py", title="Live", icon=":material/monitor_heart:", default=True),
        st.Page("pages/recent.py", title="Recent rides", icon=":material/timeline:"),
        st.Page("pages/alerts.py", title="Alerts", icon=":material/notifications:"),
        st.Page("pages/all_time.py", title="All time", icon=":material/trophy:"),
    ],
    position="top",
).run()
