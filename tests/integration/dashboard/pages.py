"""Pages run as their viewers run them."""

from functools import cache
from pathlib import Path

from streamlit.components.v2.component_manager import BidiComponentManager
from streamlit.testing.v1 import AppTest

import dashboard

SCRIPT = Path(dashboard.__file__).with_name("app.py")


def run_page(name: str, ride: int | None = None) -> AppTest:
    """The page after its first run, which raised nothing."""
    page = AppTest.from_file(str(SCRIPT), default_timeout=300)
    page._bidi_component_manager = installed_components()
    page.switch_page(f"views/{name}.py")
    if ride is not None:
        page.query_params["ride"] = str(ride)
    page.run()
    assert not page.exception
    return page


@cache
def installed_components() -> BidiComponentManager:
    """What a server looks for once when it starts, and each `AppTest` anew: half of its time."""
    components = BidiComponentManager()
    components.discover_and_register_components(start_file_watching=False)
    return components
