"""SHELL: starts the API: `python -m api`."""

import sys

import uvicorn
from fastapi import FastAPI

from api.app import create_app
from api.settings import ApiSettings
from api.web.connections import BoundedConnection
from deloton.errors import SettingsError
from deloton.running.logs import configure_logging
from deloton.running.web_headers import KEEP_ALIVE_S

# Streams end at once; whatever else is under way may take so long when we are told to stop.
FINISH_WITHIN_S = 8


def application() -> FastAPI:
    """The application of one process: with several, each makes its own."""
    settings = ApiSettings.from_environment()
    configure_logging(settings.log_level)
    return create_app(settings)


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    try:
        settings = ApiSettings.from_environment()
    except SettingsError as error:
        sys.exit(str(error))
    configure_logging(settings.log_level)
    uvicorn.run(
        "api.__main__:application",
        factory=True,
        workers=settings.api_processes,
        host=settings.listen_address,
        port=settings.port,
        loop="uvloop",
        http=BoundedConnection,
        log_config=None,
        access_log=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        server_header=False,
        timeout_graceful_shutdown=FINISH_WITHIN_S,
    )


if __name__ == "__main__":
    main()
