"""SHELL: the cards of riders under way, as a small component of our own: a click chooses one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st

_FOLDER = Path(__file__).with_name("components")
_CSS, _JS = ((_FOLDER / name).read_text() for name in ("riders.css", "riders.js"))
_HTML = '<div class="riders" role="group" aria-label="Riders"></div>'


def rider_grid(cards: list[dict[str, object]], choose: Callable[[int], None]) -> None:
    """Show the cards; `choose` gets the id of a ride that is clicked."""
    show = st.components.v2.component("riders", html=_HTML, css=_CSS, js=_JS)

    def chosen() -> None:
        state: Any = st.session_state["riders"]
        choose(int(state["ride"]))

    show(key="riders", data=cards, on_ride_change=chosen)
