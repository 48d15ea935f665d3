"""SHELL: the one set of questions of this process, whoever looks."""

from datetime import UTC, datetime

import streamlit as st

from dashboard.database import Database
from dashboard.queries import Queries
from dashboard.settings import DashboardSettings
from dashboard.sharing import SharedAnswers
from deloton.store.database import is_transient


@st.cache_resource
def queries() -> Queries:
    """The questions, with one pool and one set of answers for all viewers."""
    settings = DashboardSettings.from_environment()
    answers = SharedAnswers(lambda: datetime.now(UTC), is_transient)
    database = Database(settings.database_url.get_secret_value())
    return Queries(database, answers, settings.time_zone)
