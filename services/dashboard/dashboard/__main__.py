"""SHELL: starts the pages: `python -m dashboard`."""

import signal
import sys

import uvicorn

from dashboard.server import make_server
from dashboard.settings import DashboardSettings
from deloton.errors import SettingsError
from deloton.running.logs import configure_logging
from deloton.running.web_headers import KEEP_ALIVE_S


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    try:
        settings = DashboardSettings.from_environment()
    except SettingsError as error:
        sys.exit(str(error))
    configure_logging(settings.log_level)
    # Once it has stopped, uvicorn repeats the signal that stopped it: that is no failure.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    uvicorn.run(
        make_server(settings),
        host=settings.listen_address,
        port=settings.port,
        log_config=None,
        access_log=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        # A page keeps its connection open: do not wait for it at the end.
        timeout_graceful_shutdown=2,
    )


if __name__ == "__main__":
    main()
