"""SHELL: the script Streamlit runs for each viewer: the pages and the way between them."""

import streamlit as st

st.set_page_config(page_title="Deloton", page_icon=":material/directions_bike:", layout="wide")
st.navigation(
    [st.Page("pages/live.py", title="Live", icon=":material/monitor_heart:", default=True)],
    position="top",
).run()
