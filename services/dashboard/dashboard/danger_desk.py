"""SHELL: the bar on top of every page: who is in danger, and who of the staff sees to it."""

from pathlib import Path
from typing import Any

import streamlit as st

from dashboard import danger
from dashboard.layout import company_zone
from dashboard.sources import queries
from deloton.store.database import is_transient

_FOLDER = Path(__file__).with_name("components")
_CSS, _JS, _HTML = ((_FOLDER / f"danger.{kind}").read_text() for kind in ("css", "js", "html"))


@st.fragment(run_every=2.0)
def danger_desk() -> None:
    """The bar; nothing of it is seen while nobody is in danger."""
    try:
        answer = queries().dangers()
    except Exception as error:
        if not is_transient(error):
            raise
        return  # the page below says that the database does not answer
    show = st.components.v2.component("danger", html=_HTML, css=_CSS, js=_JS)
    show(
        key="danger-desk",
        data={
            "entries": danger.entries(answer.rows, company_zone()),
            "announcement": danger.announcement(answer.rows),
            "old": bool(answer.gone_since),
        },
        on_seen_change=acknowledge,
    )


def acknowledge() -> None:
    """Note who sees to a danger, as the form in the bar says it."""
    said: Any = st.session_state["danger-desk"]["seen"]
    name = str(said["name"]).strip()[: danger.LONGEST_NAME]
    note = str(said["note"]).strip()[: danger.LONGEST_NOTE]
    if not name:
        return
    try:
        queries().acknowledge(int(said["alert"]), name, note)
    except Exception as error:
        if not is_transient(error):
            raise
        st.toast("The database does not answer: nobody was told. Try again.", icon="⚠️")
