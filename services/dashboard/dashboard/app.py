"""SHELL: the script Streamlit runs for each viewer: the pages and the way between them."""

from pathlib import Path

import streamlit as st

from dashboard.danger_desk import danger_desk
from dashboard.layout import dress

ICON, LOGO = (str(Path(__file__).with_name(name)) for name in ("icon.png", "logo.svg"))

st.set_page_config(page_title="Deloton", page_icon=ICON, layout="wide")
st.logo(LOGO, size="large")
dress()
# Not in a folder called `pages`: Streamlit would list that by itself, on the first visit.
page = st.navigation(
    [
        st.Page("views/live.py", title="Live", icon=":material/monitor_heart:", default=True),
        st.Page("views/recent.py", title="Recent rides", icon=":material/timeline:"),
        st.Page("views/alerts.py", title="Alerts", icon=":material/notifications:"),
        st.Page("views/bikes.py", title="Bikes", icon=":material/pedal_bike:"),
        st.Page("views/all_time.py", title="All time", icon=":material/trophy:"),
    ],
    position="top",
)
danger_desk()
page.run()
