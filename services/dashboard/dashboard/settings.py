"""What the dashboard reads from its environment."""

from deloton.settings import DatabaseSettings, Port


class DashboardSettings(DatabaseSettings):
    """The dashboard's settings; `.env.example` says what each means."""

    port: Port = 8501
