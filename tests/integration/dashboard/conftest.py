"""The pages on a database of the test's own."""

from collections.abc import Callable, Iterator

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from dashboard.sources import queries
from tests.integration.dashboard.pages import run_page
from tests.roles import as_role


@pytest.fixture
def open_page(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., AppTest]]:
    """Run a page's script: `open_page("recent", ride=3)`."""
    monkeypatch.setenv("DATABASE_URL", as_role(database_url, "dashboard"))
    st.cache_resource.clear()
    yield run_page
    queries().database.close()
    st.cache_resource.clear()
