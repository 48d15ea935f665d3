"""SHELL: `python -m hr_alerter`: watch heart rates and mail riders until SIGTERM."""

import logging
import sys

import uvloop

from deloton.errors import SettingsError
from deloton.running.logs import configure_logging
from deloton.wire.kafka import use_own_connections
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
    use_own_connections()
    try:
        uvloop.run(run(settings))
    except SettingsError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
