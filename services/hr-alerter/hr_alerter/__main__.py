"""`python -m hr_alerter`: watch heart rates and mail riders until SIGTERM."""

import logging
import sys

import uvloop

from deloton.errors import SettingsError
from deloton.kafka import get_along_with_uvloop
from deloton.logs import configure_logging
from hr_alerter.app import run
from hr_alerter.settings import AlerterSettings


def main() -> None:
    """Read the environment and run."""
    try:
        settings = AlerterSettings.from_environment()
    except SettingsError as error:
        sys.exit(str(error))
    configure_logging(settings.log_level)
    for library in ("aiokafka", "botocore", "boto3", "urllib3"):
        logging.getLogger(library).setLevel(logging.WARNING)
    get_along_with_uvloop()
    try:
        uvloop.run(run(settings))
    except OSError as error:
        sys.exit(f"METRICS_PORT {settings.metrics_port} cannot be listened on: {error.strerror}")


if __name__ == "__main__":
    main()
