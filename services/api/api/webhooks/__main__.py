"""SHELL: `python -m api.webhooks`: tell partners of changes until SIGTERM."""

import asyncio
import contextlib
import signal
import sys
from datetime import timedelta

import uvloop

from api.settings import WebhookSettings
from api.webhooks import metrics
from api.webhooks.endpoints import open_endpoints
from api.webhooks.queue import Queue
from api.webhooks.worker import Worker
from deloton.errors import SettingsError
from deloton.running.health import Health
from deloton.running.logs import configure_logging
from deloton.running.pages import serve_pages
from deloton.store.database import connect_pool

POOL_SIZE = 5


async def run(settings: WebhookSettings) -> None:
    """Run until SIGTERM or SIGINT. Raises `SettingsError` where the pages' port is taken."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    health = Health()
    port = settings.metrics_port
    try:
        pages = await serve_pages(
            settings.listen_address, port, lambda: health.report([]), metrics.FAILING_SECONDS
        )
    except OSError as error:
        raise SettingsError(f"METRICS_PORT {port} cannot be listened on: {error.strerror}") from (
            error
        )
    try:
        await _work(settings, health, stopped)
    finally:
        await pages.cleanup()


async def _work(settings: WebhookSettings, health: Health, stopped: asyncio.Event) -> None:
    url = settings.database_url.get_secret_value()
    pool = await connect_pool(url, size=POOL_SIZE, application="webhooks")
    kept_for = timedelta(days=settings.changes_retention_days)
    try:
        async with open_endpoints(settings.private_hosts) as endpoints:
            worker = Worker(Queue(pool), endpoints, health, kept_for)
            working = asyncio.create_task(worker.run())
            stopping = asyncio.create_task(stopped.wait())
            await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            working.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await working
    finally:
        pool.terminate()


def main() -> None:
    """Read the environment and run."""
    try:
        settings = WebhookSettings.from_environment()
        configure_logging(settings.log_level)
        uvloop.run(run(settings))
    except SettingsError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
