"""SHELL: `python -m deloton.canary`: prove, every few minutes, that a rider is warned."""

import asyncio
import logging
import signal
import sys

from deloton.canary.app import run
from deloton.canary.settings import CanarySettings
from deloton.errors import SettingsError
from deloton.running.logs import configure_logging
from deloton.wire.kafka import use_own_connections


async def main() -> None:
    """Read the environment and beat until SIGTERM or SIGINT."""
    settings = CanarySettings.from_environment()
    configure_logging(settings.log_level)
    for library in ("aiokafka", "botocore", "urllib3"):
        logging.getLogger(library).setLevel(logging.WARNING)
    use_own_connections()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await run(settings, stopped)


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except (SettingsError, OSError) as error:
        sys.exit(str(error))
