"""Starts the pages: `python -m dashboard`."""

import sys
from pathlib import Path

import uvicorn
from streamlit.starlette import App

from dashboard.settings import DashboardSettings
from deloton.errors import SettingsError
from deloton.logs import configure_logging

SCRIPT = Path(__file__).with_name("app.py")


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    try:
        settings = DashboardSettings.from_environment()
    except SettingsError as error:
        sys.exit(str(error))
    configure_logging(settings.log_level)
    host = "0.0.0.0"  # noqa: S104  behind a load balancer, or in a container
    uvicorn.run(App(SCRIPT), host=host, port=settings.port, log_config=None, access_log=False)


if __name__ == "__main__":
    main()
